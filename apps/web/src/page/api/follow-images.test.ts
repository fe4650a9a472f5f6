import type { Image, ImagesResource } from '@sdcpu/contract'
import { describe, expect, it } from 'vitest'
import type { Entry } from '../gallery/entry.ts'
import { ApiError } from './call-api.ts'
import { awayInterval, pollInterval } from './follow-images.ts'

const image: Image = { index: 0, seed: 7, status: 'running', steps: 4 }
const calm = { error: null, ageMs: 0, isHidden: false }

describe('pollInterval', () => {
  it.each(['succeeded', 'failed', 'canceled'] as const)(
    'stops by itself once the request has %s',
    (status) => {
      expect(pollInterval({ entry: entryOf(status), ...calm })).toBe(false)
    },
  )

  it('goes on until the pictures are kept here', () => {
    const drawn: Image = { ...image, status: 'succeeded', url: '/api/v1/images/a/0.png' }
    expect(pollInterval({ entry: entryOf('succeeded', drawn), ...calm })).toBe(600)
    expect(pollInterval({ entry: { ...entryOf('succeeded', drawn), kept: [0] }, ...calm })).toBe(false)
  })

  it('stops when the API has forgotten the request', () => {
    expect(pollInterval({ entry: { ...entryOf('running'), isForgotten: true }, ...calm })).toBe(false)
  })

  it('asks a tenth of the time left from now, but neither all the time nor hardly ever', () => {
    const intervals = [1, 10, 300].map((etaSeconds) =>
      pollInterval({ entry: entryOf('running', { ...image, etaSeconds }), ...calm }),
    )
    expect(intervals).toEqual([600, 1000, 2000])
    const waiting = { ...image, status: 'queued' as const, etaSeconds: 300 }
    expect(pollInterval({ entry: entryOf('queued', waiting), ...calm })).toBe(5000)
  })

  it('asks less often while nobody looks', () => {
    expect(pollInterval({ entry: entryOf('running'), ...calm, isHidden: true })).toBe(5000)
  })
})

describe('awayInterval', () => {
  it('grows with the time that nobody has answered, up to half a minute', () => {
    const away = new ApiError('unavailable', '')
    expect([0, 10_000, 1_000_000].map((ageMs) => awayInterval(away, ageMs))).toEqual([2000, 5000, 30_000])
  })

  it('is never shorter than the API asks for', () => {
    expect(awayInterval(new ApiError('unavailable', '', { retryAfterSeconds: 45 }), 0)).toBe(45_000)
  })
})

function entryOf(status: ImagesResource['status'], only: Image = { ...image, status }): Entry {
  const request = {
    model: 'demo',
    prompt: 'a fox',
    n: 1,
    seed: 7,
    size: '256x256',
    steps: 4,
    format: 'png' as const,
  }
  const resource = { id: 'a', status, createdAt: '2026-01-01T00:00:00Z', request, images: [only] }
  return { id: 'a', startedAtMs: 0, resource, kept: [] }
}
