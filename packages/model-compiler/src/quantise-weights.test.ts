import { describe, expect, it } from 'vitest'
import { quantiseWeights, sumTaps, toProductOrder } from './quantise-weights.ts'

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

it('sees of a doubled map the same in four phases of the small one', () => {
  const SIDE = 3
  const kernel = Float32Array.from({ length: 9 }, (_, i) => 2 ** i) // each tap is told from the others in any sum
  const at = (y: number, x: number) => (y < 0 || x < 0 || y >= SIDE || x >= SIDE ? 0 : 1 + y * SIDE + x)
  const doubled = (y: number, x: number) => at(Math.floor(y / 2), Math.floor(x / 2))
  const inside = (i: number) => i >= 0 && i < 2 * SIDE
  for (let y = 0; y < 2 * SIDE; y++)
    for (let x = 0; x < 2 * SIDE; x++) {
      let wanted = 0
      for (let tap = 0; tap < 9; tap++) {
        const [row, column] = [y + Math.floor(tap / 3) - 1, x + (tap % 3) - 1]
        if (inside(row) && inside(column)) wanted += kernel[tap]! * doubled(row, column)
      }
      const phase = 2 * (y % 2) + (x % 2)
      const small = sumTaps(kernel, phase)
      let found = 0
      for (let tap = 0; tap < 4; tap++)
        found += small[tap]! * at(((y + 1) >> 1) + (tap >> 1) - 1, ((x + 1) >> 1) + (tap & 1) - 1)
      expect(found).toBe(wanted)
    }
})
