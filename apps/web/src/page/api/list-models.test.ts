import type { Model } from '@sdcpu/contract'
import { describe, expect, it } from 'vitest'
import { ApiError } from './call-api.ts'
import { modelsInterval } from './list-models.ts'

const models = (...statuses: Model['status'][]) => statuses.map((status) => ({ status }) as Model)

describe('modelsInterval', () => {
  it('hardly ever asks while all models are served', () => {
    expect(modelsInterval(models('ready', 'ready'), null)).toBe(60_000)
  })

  it('asks often while there is none, or one without a worker', () => {
    expect(modelsInterval([], null)).toBe(5000)
    expect(modelsInterval(models('ready', 'away'), null)).toBe(5000)
  })

  it('asks often while the API is away, but not before it wants to be asked', () => {
    expect(modelsInterval(models('ready'), new ApiError('unavailable', ''))).toBe(5000)
    const later = new ApiError('unavailable', '', { retryAfterSeconds: 20 })
    expect(modelsInterval(models('ready'), later)).toBe(20_000)
  })
})
