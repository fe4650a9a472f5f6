import { expect, it } from 'vitest'
import { z } from 'zod'
import { checkRedisConfig, maskRedisSecrets, RedisConfig } from './redis-config.ts'

const Checked = RedisConfig.superRefine(checkRedisConfig)
const faultOf = (env: object) => {
  const { error } = Checked.safeParse(env)
  return error ? z.prettifyError(error) : ''
}

it.each([['redis://localhost'], ['rediss://user:pass@redis.example:6380/2'], ['redis://[::1]:6379']])(
  'takes %s',
  (REDIS_URL) => {
    expect(Checked.parse({ REDIS_URL })).toMatchObject({ REDIS_MODE: 'standalone' })
  },
)

it.each([
  [{}, /REDIS_URL is missing/],
  [{ REDIS_URL: 'http://a' }, /REDIS_URL must be redis:/],
  [{ REDIS_URL: 'redis://a/x' }, /REDIS_URL must be redis:/],
  [{ REDIS_URL: 'redis://a,redis://b' }, /names 2 servers; REDIS_MODE=standalone takes 1/],
  [{ REDIS_MODE: 'cluster', REDIS_URL: 'redis://a,rediss://b' }, /mixes redis:\/\/ and rediss:\/\//],
  [{ REDIS_MODE: 'cluster', REDIS_URL: 'redis://a/1' }, /a cluster has none/],
  [{ REDIS_URL: 'rediss://a', REDIS_TLS_CERT_FILE: import.meta.filename }, /must be given together/],
  [{ REDIS_URL: 'redis://a', REDIS_TLS_CA_FILE: import.meta.filename }, /REDIS_URL is without TLS/],
  [{ REDIS_URL: 'rediss://a', REDIS_TLS_CA_FILE: '/nowhere.pem' }, /\/nowhere.pem cannot be read/],
])('refuses %j', (env, message) => {
  expect(faultOf(env)).toMatch(message)
})

it('shows no password, of however many servers', () => {
  const config = RedisConfig.parse({
    REDIS_MODE: 'sentinel',
    REDIS_URL: 'redis://me:secret@a,redis://:secret@b:1',
    REDIS_PASSWORD: 'secret',
    REDIS_SENTINEL_PASSWORD: 'secret',
  })
  const masked = maskRedisSecrets(config)
  expect(JSON.stringify(masked)).not.toContain('secret')
  expect(masked.REDIS_URL).toBe('redis://me:***@a,redis://:***@b:1')
})
