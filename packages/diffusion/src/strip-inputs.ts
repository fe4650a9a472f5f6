import type { FloatTensor, GraphInput } from './graph-session.ts'

// Of float32 features. Nine times as many 8-bit values are gathered from them, which the C library serves from memory it has
// touched before up to about 10 MB; beyond, the kernel clears fresh pages for each strip.
const STRIP_BYTES = 5e6

type MapSize = { height: number; width: number }

/**
 * What graphs of the decoder that work in strips are told of where they lie, by the names of their inputs; each is computed
 * when a graph takes it. A strip is some whole rows; what it is convolved from has one more above and below.
 * @param features the map [1, height, width, channels] that the graph is given: `strip_…` are for maps of its size,
 *   `enlarged_…` for those of twice that size, `source_…` for the step from one to the other
 * @param options.stripBytes size of a strip of float32 features that strips come near to
 */
export function stripInputs(
  { dims }: Pick<FloatTensor, 'dims'>,
  { stripBytes = STRIP_BYTES } = {},
): Record<string, GraphInput> {
  const [, height, width, channels] = dims as [number, number, number, number]
  const small = { height, width }
  const large = { height: 2 * height, width: 2 * width }
  const bytesPerPixel = 4 * channels
  const same = countStrips(height, (height * width * bytesPerPixel) / stripBytes)
  const doubled = countStrips(height, (4 * height * width * bytesPerPixel) / stripBytes)
  return {
    get strip_borders() {
      return bordersOf(small, same)
    },
    get strip_rows() {
      return rowsOf(small, same).rows
    },
    get strip_mask() {
      return rowsOf(small, same).mask
    },
    get strip_neighbours() {
      return neighboursOf(small, same)
    },
    get enlarged_borders() {
      return bordersOf(large, doubled)
    },
    get enlarged_rows() {
      return rowsOf(large, doubled).rows
    },
    get enlarged_mask() {
      return rowsOf(large, doubled).mask
    },
    get enlarged_neighbours() {
      return neighboursOf(large, doubled)
    },
    get source_borders() {
      return bordersOf(small, doubled)
    },
    get source_neighbours() {
      return neighboursOf(large, doubled, { isEnlarged: true })
    },
  }
}

/** Of the numbers that cut the rows into equal strips, the one nearest to what is wanted. */
function countStrips(height: number, wanted: number): number {
  const divisors = Array.from({ length: height }, (_, i) => i + 1).filter((count) => height % count === 0)
  const distance = (count: number) => Math.abs(Math.log(count / Math.max(wanted, 1)))
  return divisors.reduce((best, count) => (distance(count) < distance(best) ? count : best))
}

/** Numbers of the rows above and below each strip; where there is none, of another one, which nothing looks at. */
function bordersOf({ height }: MapSize, strips: number): GraphInput {
  const each = height / strips
  const data = new Int32Array(2 * strips)
  for (let strip = 0; strip < strips; strip++) {
    data[2 * strip] = Math.max(strip * each - 1, 0)
    data[2 * strip + 1] = Math.min((strip + 1) * each, height - 1)
  }
  return { data, dims: [strips, 2] }
}

/** Rows of a map that each strip is made from, and whether they are there: others stand in for those beyond the border. */
function rowsOf({ height }: MapSize, strips: number): { rows: GraphInput; mask: GraphInput } {
  const each = height / strips + 2
  const rows = new Int32Array(strips * each)
  const mask = new Float32Array(strips * each)
  for (let strip = 0; strip < strips; strip++)
    for (let i = 0; i < each; i++) {
      const row = strip * (each - 2) + i - 1
      const place = strip * each + i
      rows[place] = Math.min(Math.max(row, 0), height - 1)
      mask[place] = row === rows[place] ? 1 : 0
    }
  const dims = [strips, each]
  return { rows: { data: rows, dims }, mask: { data: mask, dims } }
}

/**
 * Where each pixel of a strip finds the nine of its 3x3 neighbourhood among the pixels of the strip and, behind them, the
 * rows above and below it; the number of them all stands for what lies beyond the border. `size` is that of the output,
 * which is made from a map of half its size where it `isEnlarged`.
 */
function neighboursOf({ height, width }: MapSize, strips: number, { isEnlarged = false } = {}): GraphInput {
  const shift = isEnlarged ? 1 : 0
  const rows = height / strips
  const sourceRows = rows >> shift
  const sourceWidth = width >> shift
  const beyond = (sourceRows + 2) * sourceWidth
  const each = rows * width * 9
  const data = new Int32Array(strips * each)
  let place = 0
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < width; x++)
      for (let dy = -1; dy <= 1; dy++) {
        const row = (y + dy) >> shift
        const first = (row < 0 ? sourceRows : row < sourceRows ? row : sourceRows + 1) * sourceWidth
        for (let dx = -1; dx <= 1; dx++)
          data[place++] = x + dx >= 0 && x + dx < width ? first + ((x + dx) >> shift) : beyond
      }
  // Strips differ from each other only where the map ends.
  for (let strip = 1; strip < strips; strip++) data.copyWithin(strip * each, 0, each)
  for (let i = 0; i < width * 9; i += 9) {
    data.fill(beyond, i, i + 3)
    data.fill(beyond, data.length - i - 3, data.length - i)
  }
  return { data, dims: [strips, rows * width, 9] }
}
