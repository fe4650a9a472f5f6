import type { FloatTensor, GraphInput } from './graph-session.ts'

// Of float32 features. Nine times as many 8-bit values are gathered from them, which the C library serves from memory it has
// touched before up to about 10 MB; beyond, the kernel clears fresh pages for each strip.
const STRIP_BYTES = 5e6

type MapSize = { height: number; width: number }

/**
 * What graphs of the decoder that work in strips are told of where they lie, by the names of their inputs; each is computed
 * when a graph takes it. A strip is some whole rows; what it is convolved from has one more above and below.
 * @param features the map [1, height, width, channels] that the graph is given: `strip_…` are for maps of its size,
 *   `enlarged_…` for those of twice that size. `source_…` are for the step from one to the other, which gives four maps: the
 *   pixels of even rows and even columns, of even rows and odd columns, and so on; `phase_…` are for what reads those
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
      return sourceNeighboursOf(small, doubled)
    },
    get phase_neighbours() {
      return neighboursOf(large, doubled, phaseOrder(large, doubled))
    },
    get phase_order() {
      const pixels = (large.height / doubled) * large.width
      return {
        data: repeat(phaseOrder(large, doubled).subarray(0, pixels), doubled),
        dims: [doubled, pixels],
      }
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
 * rows above and below it; the number of them all stands for what lies beyond the border. `order` has the places of those
 * that do not lie row by row.
 */
function neighboursOf({ height, width }: MapSize, strips: number, order?: Int32Array): GraphInput {
  const rows = height / strips
  const beyond = (rows + 2) * width
  const strip = neighboursInStrip(rows, width)
  if (order) for (let i = 0; i < strip.length; i++) strip[i] = order[strip[i]!] ?? beyond
  // Strips differ from each other only where the map ends.
  const data = repeat(strip, strips)
  for (let i = 0; i < width * 9; i += 9) {
    data.fill(beyond, i, i + 3)
    data.fill(beyond, data.length - i - 3, data.length - i)
  }
  return { data, dims: [strips, rows * width, 9] }
}

/**
 * Where each pixel of a strip, doubled, finds the four of the small map that its 3x3 neighbourhood consists of, [strips,
 * phases, pixels of the small map, 4]: an even row sees the small row above and its own, an odd row its own and the one below.
 */
function sourceNeighboursOf({ height, width }: MapSize, strips: number): GraphInput {
  const rows = height / strips
  const pixels = rows * width
  const beyond = pixels + 2 * width
  const nine = neighboursInStrip(rows, width)
  const strip = new Int32Array(16 * pixels)
  let place = 0
  for (let phase = 0; phase < 4; phase++) {
    const first = 3 * (phase >> 1) + (phase & 1)
    for (let i = 0; i < nine.length; i += 9)
      for (let tap = 0; tap < 4; tap++) strip[place++] = nine[i + first + 3 * (tap >> 1) + (tap & 1)]!
  }
  const data = repeat(strip, strips)
  for (const phase of [0, 4 * pixels])
    for (let i = 0; i < 4 * width; i += 4) {
      data.fill(beyond, phase + i, phase + i + 2)
      data.fill(beyond, data.length - phase - i - 2, data.length - phase - i)
    }
  return { data, dims: [strips, 4, pixels, 4] }
}

/** Neighbours of the pixels of a strip that has rows above and below it. */
function neighboursInStrip(rows: number, width: number): Int32Array {
  const beyond = (rows + 2) * width
  const data = new Int32Array(rows * width * 9)
  let place = 0
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < width; x++)
      for (let row = y - 1; row <= y + 1; row++) {
        const first = (row < 0 ? rows : row < rows ? row : rows + 1) * width
        for (let column = x - 1; column <= x + 1; column++)
          data[place++] = column >= 0 && column < width ? first + column : beyond
      }
  return data
}

/** Where the pixels of a strip, and behind them those of the rows around it, lie in their four phases. */
function phaseOrder({ height, width }: MapSize, strips: number): Int32Array {
  const rows = height / strips
  const pixels = rows * width
  const order = new Int32Array(pixels + 2 * width)
  let place = 0
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < width; x++) {
      const phase = 2 * (y & 1) + (x & 1)
      order[place++] = (phase * pixels) / 4 + (((y >> 1) * width) >> 1) + (x >> 1)
    }
  for (const row of [pixels, pixels + width])
    for (let x = 0; x < width; x++) order[place++] = row + (x & 1) * (width >> 1) + (x >> 1)
  return order
}

/** The same values for each strip. */
function repeat(strip: Int32Array, strips: number): Int32Array {
  const data = new Int32Array(strips * strip.length)
  for (let i = 0; i < strips; i++) data.set(strip, i * strip.length)
  return data
}
