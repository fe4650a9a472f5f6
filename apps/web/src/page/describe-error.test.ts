import { ErrorCode } from '@sdcpu/contract'
import { describe, expect, it } from 'vitest'
import { ApiError } from './api/call-api.ts'
import { describeError } from './describe-error.ts'
import { en } from './texts/en.ts'
import { zh } from './texts/zh.ts'

const codes = ErrorCode.options.flatMap((code) => [['en', code, en] as const, ['zh', code, zh] as const])

describe('describeError', () => {
  it.each(codes)('has words in %s for %s that say what to do', (_, code, texts) => {
    const { title, hint } = describeError(new ApiError(code, 'steps is 80; the limit is 8'), texts)
    expect(title).toMatch(/[.。]$/)
    expect(hint).not.toBe('')
  })

  it('passes on what the API says is wrong with a request, and offers no repeat of it', () => {
    const words = describeError(new ApiError('invalid_request', 'steps is 80; the limit is 8'), en)
    expect(words).toMatchObject({ hint: 'steps is 80; the limit is 8', canRetry: false })
  })

  it('does the same for a refusal that this page has never heard of', () => {
    const words = describeError(new ApiError('flagged' as 'invalid_request', 'the prompt was refused'), en)
    expect(words).toMatchObject({ hint: 'the prompt was refused', canRetry: false })
  })

  it('keeps to the time the API asks for', () => {
    const words = describeError(new ApiError('queue_full', 'full', { retryAfterSeconds: 12 }), en)
    expect(words).toMatchObject({ canRetry: true, retryAfterSeconds: 12 })
  })

  it('gives the number under which the logs tell more', () => {
    const error = new ApiError('internal', '', { requestId: 'trace-7' })
    expect(describeError(error, en).hint).toContain('trace-7')
    expect(describeError(error, zh).hint).toContain('trace-7')
  })

  it('has words for what is no answer of the API at all', () => {
    expect(describeError(new TypeError('x is undefined'), en).title).toBe('Something went wrong.')
  })
})
