import { expect, it } from 'vitest'
import { loadConfig, maskSecrets } from './config.ts'

const env = { REDIS_URL: 'redis://localhost:6379' }

it('needs nothing but a Redis', () => {
  expect(loadConfig(env)).toMatchObject({ MODEL: 'demo', WORKER_PORT: 5002, PLAN: 'auto', BATCH_MAX_SIZE: 4 })
})

it('takes an empty value for an absent one', () => {
  const config = loadConfig({ ...env, MODEL: '', THREADS: '' })
  expect(config.MODEL).toBe('demo')
  expect(config.THREADS).toBeUndefined()
})

it.each([
  [{ MODEL: 'stabilityai/sdxl-turbo@main' }, 'stabilityai/sdxl-turbo'],
  [{ MODEL: '/srv/models/fox.safetensors' }, 'fox'],
  [{ MODEL: 'models/demo' }, 'demo'], // there is such a folder where tests run
  [{ MODEL: '/srv/models/fox', MODEL_NAME: 'Fox v2' }, 'Fox v2'],
])('offers the model of %j as %s', (model, name) => {
  expect(loadConfig({ ...env, ...model }).MODEL_NAME).toBe(name)
})

it('names every fault at once', () => {
  const load = () => loadConfig({ REDIS_URL: 'http://a', BATCH_MAX_SIZE: '99' })
  expect(load).toThrow(/REDIS_URL/)
  expect(load).toThrow(/BATCH_MAX_SIZE/)
})

it('refuses times that would leave a dead worker’s images waiting for more than 30 s', () => {
  expect(() => loadConfig({ ...env, LOCK_DURATION_MS: '25000' })).toThrow(
    /wait up to 35000 ms.*limit is 30000/,
  )
})

it('keeps the password out of what it prints', () => {
  const config = loadConfig({ REDIS_URL: 'redis://user:secret@localhost:6379/1' })
  expect(maskSecrets(config).REDIS_URL).toBe('redis://user:***@localhost:6379/1')
})

it('keeps the hub’s token and a proxy’s password out of what it prints', () => {
  const config = loadConfig({ ...env, HF_TOKEN: 'hf_secret', HTTPS_PROXY: 'http://me:secret@proxy:3128' })
  const printed = JSON.stringify(maskSecrets(config))
  expect(printed).not.toContain('secret')
  expect(printed).toContain('http://me:***@proxy:3128')
  expect(config.HF_TOKEN).toBe('hf_secret')
})

it('takes a proxy in lower case before one in capitals, as curl does', () => {
  const config = loadConfig({ ...env, https_proxy: 'http://low:1', HTTPS_PROXY: 'http://high:1' })
  expect(config.HTTPS_PROXY).toBe('http://low:1')
})
