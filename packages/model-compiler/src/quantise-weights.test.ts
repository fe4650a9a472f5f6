import { describe, expect, it } from 'vitest'
import { quantiseWeights, toProductOrder } from './quantise-weights.ts'

const ROWS = 6
const COLUMNS = 500
/** Each row a thousand times larger than the one before, so that a shared scale would lose the small ones. */
const weights = Float32Array.from(
  { length: ROWS * COLUMNS },
  (_, i) => Math.sin(i * 12.9898) * 1000 ** Math.floor(i / COLUMNS),
)

describe.each([64, 127] as const)('with a limit of %i', (limit) => {
  const { high, scale, rest } = quantiseWeights(weights, ROWS, limit)
  const row = (i: number) => Math.floor(i / COLUMNS)

  it('is within half a unit of each output channel’s own scale', () => {
    weights.forEach((value, i) => {
      expect(Math.abs(value - high[i]! * scale[row(i)]!)).toBeLessThanOrEqual(0.5001 * scale[row(i)]!)
    })
  })

  it('leaves with the rest an error 2 · limit times smaller', () => {
    weights.forEach((value, i) => {
      const restored = (high[i]! + rest[i]! / (2 * limit)) * scale[row(i)]!
      expect(Math.abs(value - restored)).toBeLessThanOrEqual((0.502 * scale[row(i)]!) / (2 * limit))
    })
  })

  it('reaches the limit and never passes it', () => {
    for (const values of [high, rest]) {
      const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
      expect(most).toBeLessThanOrEqual(limit)
    }
    expect(high.reduce((a, b) => Math.max(a, Math.abs(b)), 0)).toBe(limit)
  })
})

it('keeps a channel of zeros zero', () => {
  const { high, scale, rest } = quantiseWeights(new Float32Array(4), 2, 127)
  expect([...high, ...rest]).toEqual(new Array(8).fill(0))
  expect([...scale]).toEqual([1, 1])
})

it('puts tap, then input channel, then output channel', () => {
  const [outputs, inputs, taps] = [70, 5, 9]
  const values = Int8Array.from({ length: outputs * inputs * taps }, (_, i) => (i * 7) % 127)
  const result = toProductOrder(values, outputs, taps)
  for (const [o, c, t] of [
    [0, 0, 0],
    [69, 4, 8],
    [3, 2, 7],
  ] as const)
    expect(result[(t * inputs + c) * outputs + o]).toBe(values[(o * inputs + c) * taps + t])
})
