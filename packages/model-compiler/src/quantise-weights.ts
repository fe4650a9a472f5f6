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
    for (let i = row * columns; i < end; i++) {
      const magnitude = Math.abs(values[i]!)
      if (magnitude > most) most = magnitude
    }
    scale[row] = most > 0 ? most / limit : 1
    const perUnit = 1 / scale[row]!
    // Three billion values: Math.round and bounds that are never reached would take five times as long.
    for (let i = row * columns; i < end; i++) {
      const exact = values[i]! * perUnit
      const nearest = Math.floor(exact + 0.5)
      high[i] = nearest
      rest[i] = Math.floor((exact - nearest) * 2 * limit + 0.5)
    }
  }
  return { high, scale, rest }
}

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

/** Pixels of a doubled map that stem from one: of even row and column, of even row and odd column, and so on. */
export const PHASES = 4

/**
 * Kernels [outputs, inputs, 9] as one phase of a map that was doubled by repeating pixels sees the small one, [outputs,
 * inputs, 4]: an even row sees the small row above and its own, an odd row its own and the one below; columns likewise.
 */
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
