import type { ImagesResource } from '@sdcpu/contract'
import { describe, expect, it } from 'vitest'
import { ApiError } from './call-api.ts'
import { pollInterval } from './get-images.ts'

const running = { status: 'running' } as ImagesResource

describe('pollInterval', () => {
  it.each(['succeeded', 'failed', 'canceled'] as const)(
    'stops by itself once the request has %s',
    (status) => {
      expect(pollInterval({ status } as ImagesResource, null)).toBe(false)
    },
  )

  it('asks on while the picture is drawn', () => {
    expect(pollInterval(running, null)).toBe(500)
  })

  it('asks on, less often, while nobody answers', () => {
    expect(pollInterval(running, new ApiError('unavailable', ''))).toBe(2000)
    expect(pollInterval(running, new ApiError('unavailable', '', { retryAfterSeconds: 5 }))).toBe(5000)
  })

  it.each(['image_not_found', 'expired'] as const)('stops when the request is %s', (code) => {
    expect(pollInterval(running, new ApiError(code, ''))).toBe(false)
  })
})
