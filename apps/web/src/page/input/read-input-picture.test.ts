import { MAX_INPUT_PIXELS, MAX_SIDE } from '@sdcpu/contract'
import { expect, it } from 'vitest'
import { scaleOf } from './read-input-picture.ts'

it('leaves a picture as it is that is no larger than what is drawn', () => {
  expect(scaleOf(1024, 1024)).toBe(1)
  expect(scaleOf(3000, 640)).toBe(1)
})

it.each([
  [6000, 4000],
  [4000, 6000],
  [8000, 1100],
  [20_000, 20_000],
  [16_000, 900],
])(
  'makes %i x %i no smaller than a picture drawn from it can be, nor larger than the API takes',
  (width, height) => {
    const scale = scaleOf(width, height)
    const sides = [width * scale, height * scale]
    expect(scale).toBeLessThan(1)
    expect(sides[0]! * sides[1]!).toBeLessThanOrEqual(MAX_INPUT_PIXELS)
    // Longer than four to one it is scaled up again, and loses nothing that was in the file's other side.
    if (Math.max(width, height) / Math.min(width, height) <= 4)
      expect(Math.min(...sides)).toBeCloseTo(MAX_SIDE, 6)
  },
)
