import { describe, expect, it } from 'vitest'
import { loadConfig } from './config.ts'

describe('loadConfig', () => {
  it('listens on 5001 and expects the API beside it when nothing is set', () => {
    expect(loadConfig({})).toEqual({
      HOST: '0.0.0.0',
      WEB_PORT: 5001,
      API_URL: 'http://127.0.0.1:5000',
      API_TIMEOUT_SECONDS: 900,
    })
  })

  it('names every faulty variable at once', () => {
    const load = () => loadConfig({ WEB_PORT: '70000', API_URL: 'redis://queue' })
    expect(load).toThrow(/WEB_PORT/)
    expect(load).toThrow(/API_URL/)
  })
})
