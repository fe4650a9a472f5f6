import { expect, it } from 'vitest'
import { ApiError } from './api-error.ts'
import type { Caller } from './caller.ts'
import { createDrawImages, type Drawing } from './draw-images.ts'

const FULL = new ApiError('queue_full', 'the queue is full', { retryAfterSeconds: 60 })
const HOUR_MS = 3_600_000

// What is never admitted asks neither for images nor for events.
const createDraw = () => createDrawImages({ images: undefined as never, events: undefined as never })

function toDrawing(signal: AbortSignal, change: Partial<Drawing> = {}): Drawing {
  const create = () => Promise.reject(FULL)
  return { id: 'a', caller: {} as Caller, signal, create, holdMs: HOUR_MS, ...change }
}

it('holds a hundred requests without room, refuses more at once, and lets go of those nobody waits for', async () => {
  const draw = createDraw()
  const hangUp = new AbortController()
  const held = Array.from({ length: 100 }, () => draw(toDrawing(hangUp.signal)))
  const late = new AbortController()
  await new Promise((resolve) => setImmediate(resolve))
  await expect(draw(toDrawing(late.signal))).rejects.toBe(FULL)
  hangUp.abort()
  expect(new Set(await Promise.all(held))).toEqual(new Set([undefined]))
  const next = draw(toDrawing(late.signal))
  late.abort()
  expect(await next).toBeUndefined()
})

it('holds no more than it has memory for', async () => {
  const draw = createDraw()
  const hangUp = new AbortController()
  const held = [1, 2].map(() => draw(toDrawing(hangUp.signal, { characters: 16 * 2 ** 20 })))
  await new Promise((resolve) => setImmediate(resolve))
  await expect(draw(toDrawing(hangUp.signal, { characters: 1 }))).rejects.toBe(FULL)
  hangUp.abort()
  await Promise.all(held)
})

it('holds nothing that waiting does not cure, or that may not wait', async () => {
  const draw = createDraw()
  const { signal } = new AbortController()
  const invalid = new ApiError('invalid_request', 'no')
  await expect(draw(toDrawing(signal, { create: () => Promise.reject(invalid) }))).rejects.toBe(invalid)
  await expect(draw(toDrawing(signal, { holdMs: 0 }))).rejects.toBe(FULL)
})
