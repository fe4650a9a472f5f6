import { ErrorCode } from '@sdcpu/contract'
import { describe, expect, it } from 'vitest'
import { ApiError } from './api/call-api.ts'
import { describeError } from './describe-error.ts'

describe('describeError', () => {
  it.each(ErrorCode.options)('has words for %s that say what to do', (code) => {
    const { title, hint } = describeError(new ApiError(code, 'steps is 80; the limit is 8'))
    expect(title).toMatch(/^[A-Z].*\.$/)
    expect(hint).not.toBe('')
  })

  it('passes on what the API says is wrong with a request, and offers no repeat of it', () => {
    const words = describeError(new ApiError('invalid_request', 'steps is 80; the limit is 8'))
    expect(words).toMatchObject({ hint: 'steps is 80; the limit is 8', canRetry: false })
  })

  it('keeps to the time the API asks for', () => {
    const words = describeError(new ApiError('queue_full', 'full', { retryAfterSeconds: 12 }))
    expect(words).toMatchObject({ canRetry: true, retryAfterSeconds: 12 })
  })

  it('gives the number under which the logs tell more', () => {
    expect(describeError(new ApiError('internal', '', { requestId: 'trace-7' })).hint).toContain('trace-7')
  })

  it('has words for what is no answer of the API at all', () => {
    expect(describeError(new TypeError('x is undefined')).title).toBe('Something went wrong.')
  })
})
