import { expect, it } from 'vitest'
import { loadConfig, maskSecrets } from './config.ts'

const env = { REDIS_URL: 'redis://localhost:6379' }

it('needs nothing but a Redis', () => {
  expect(loadConfig(env)).toMatchObject({
    API_PORT: 5000,
    MODEL_NAME: undefined,
    QUEUE_LIMIT: 100,
    RESULT_TTL_SECONDS: 3600,
  })
})

it.each([
  [{ MODEL: '/srv/models/fox.safetensors' }, 'fox'],
  [{ MODEL: 'stabilityai/sdxl-turbo@main' }, 'stabilityai/sdxl-turbo'],
  [{ MODEL: '/srv/models/fox', MODEL_NAME: 'Fox v2' }, 'Fox v2'],
])('knows the default model of %j as %s', (model, name) => {
  expect(loadConfig({ ...env, ...model }).MODEL_NAME).toBe(name)
})

it('names every fault at once', () => {
  const load = () => loadConfig({ REDIS_URL: '', API_PORT: 'x', QUEUE_LIMIT: '7' })
  for (const name of [/REDIS_URL/, /API_PORT/, /QUEUE_LIMIT/]) expect(load).toThrow(name)
})

it('keeps the password out of what it prints', () => {
  const config = loadConfig({ REDIS_URL: 'rediss://:secret@localhost:6379' })
  expect(maskSecrets(config).REDIS_URL).toBe('rediss://:***@localhost:6379')
})
