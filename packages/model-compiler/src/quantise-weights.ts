import type { WeightLimit } from './scheme.ts'

/** A weight matrix as the product of whole numbers and one scale for each output channel. */
export type QuantisedWeights = {
  /** w ≈ scale · high, each within ±limit. */
  high: Int8Array
  /** One an output channel. */
  scale: Float32Array
  /** What is lost, in units of scale / (2 · limit): w ≈ scale · (high + rest / (2 · limit)). */
  rest: Int8Array
}

/** Quantises each of `rows` rows (an output channel's weights) by its own largest magnitude, symmetrically. */
export function quantiseWeights(values: Float32Array, rows: number, limit: WeightLimit): QuantisedWeights {
  const columns = values.length / rows
  const high = new Int8Array(values.length)
  const rest = new Int8Array(values.length)
  const scale = new Float32Array(rows)
  for (let row = 0; row < rows; row++) {
    const end = (row + 1) * columns
    let most = 0
    for (let i = row * columns; i < end; i++) most = Math.max(most, Math.abs(values[i]!))
    scale[row] = most > 0 ? most / limit : 1
    const perUnit = 1 / scale[row]!
    for (let i = row * columns; i < end; i++) {
      const exact = values[i]! * perUnit
      const nearest = clamp(Math.round(exact), limit)
      high[i] = nearest
      rest[i] = clamp(Math.round((exact - nearest) * 2 * limit), limit)
    }
  }
  return { high, scale, rest }
}

const clamp = (value: number, limit: number) => Math.min(Math.max(value, -limit), limit)

/**
 * [outputs, inputs] or [outputs, inputs, taps] → [taps · inputs, outputs], taps outermost: the order in which a gathered
 * pixel neighbourhood lies, channels side by side.
 */
export function toProductOrder(values: Int8Array, outputs: number, taps: number): Int8Array {
  const columns = values.length / outputs
  const inputs = columns / taps
  const result = new Int8Array(values.length)
  for (let left = 0; left < columns; left += TILE)
    for (let top = 0; top < outputs; top += TILE) {
      const right = Math.min(left + TILE, columns)
      const bottom = Math.min(top + TILE, outputs)
      for (let column = left; column < right; column++) {
        const target = ((column % taps) * inputs + Math.floor(column / taps)) * outputs
        for (let row = top; row < bottom; row++) result[target + row] = values[row * columns + column]!
      }
    }
  return result
}

// Tiles keep both the rows read and the rows written in the first-level cache.
const TILE = 64

/**
 * A map is doubled by repeating pixels and then convolved 3x3: which of a small pixel's 3x3 neighbours, counted row by row,
 * its four pixels there see. The phases are even row and column, even row and odd column, and so on.
 */
export const PHASE_TAPS = [
  [0, 1, 3, 4],
  [1, 2, 4, 5],
  [3, 4, 6, 7],
  [4, 5, 7, 8],
]

/** Kernels [outputs, inputs, 9] as one phase of the doubled map sees the small one, [outputs, inputs, 4]. */
export function sumTaps(kernels: Float32Array, phase: number): Float32Array<ArrayBuffer> {
  const [oddRow, oddColumn] = [phase >> 1, phase & 1]
  // Of an even row's three rows the first is the small row above and the others are its own; an odd one's the other way.
  const near = (tap: number, isOdd: number) => (tap + 1 - isOdd) >> 1
  const result = new Float32Array((kernels.length / 9) * 4)
  for (let i = 0; i < kernels.length; i++) {
    const tap = i % 9
    const place = 2 * near(Math.floor(tap / 3), oddRow) + near(tap % 3, oddColumn)
    result[4 * Math.floor(i / 9) + place]! += kernels[i]!
  }
  return result
}

/** Names in the graph of what a quantised weight becomes. */
export function quantisedNames(name: string): { high: string; scale: string; rest: string } {
  return { high: `${name} high`, scale: `${name} scale`, rest: `${name} rest` }
}
