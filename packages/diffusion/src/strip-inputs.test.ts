import { describe, expect, it } from 'vitest'
import { stripInputs } from './strip-inputs.ts'

const BEYOND = -1

type Places = ReturnType<typeof stripInputs>[string] | undefined

/** What each pixel of a strip finds at its places among `values`, for each strip; BEYOND where there is none. */
function gather(places: Places, valuesOf: (strip: number) => number[]): number[][] {
  const [strips, taps] = [places!.dims[0]!, places!.dims.at(-1)!]
  const pixels = places!.data.length / strips / taps
  return Array.from({ length: strips }, (_, strip) => {
    const values = [...valuesOf(strip), BEYOND]
    return Array.from({ length: pixels }, (_, pixel) =>
      Array.from({ length: taps }, (_, tap) => values[places!.data[(strip * pixels + pixel) * taps + tap]!]!),
    )
  }).flat()
}

/** Numbers of the pixels of a strip and then of the rows around it. */
function stripOf([height, width]: [number, number], borders: Places, strip: number): number[] {
  const rows = height / borders!.dims[0]!
  const rowOf = (y: number) => Array.from({ length: width }, (_, x) => y * width + x)
  const own = Array.from({ length: rows }, (_, i) => rowOf(strip * rows + i)).flat()
  return [...own, ...[0, 1].flatMap((i) => rowOf(borders!.data[2 * strip + i]!))]
}

/** The same of a map whose strips are kept as four phases: those of the strip, of the row above and of that below. */
function phasesOf([height, width]: [number, number], borders: Places, strip: number): number[] {
  const rows = (2 * height) / borders!.dims[0]!
  const rowOf = (y: number, odd: number) => Array.from({ length: width }, (_, x) => 2 * (y * width + x) + odd)
  const own = [0, 1].flatMap((oddRow) =>
    [0, 1].flatMap((oddColumn) =>
      Array.from({ length: rows / 2 }, (_, i) => rowOf(strip * rows + 2 * i + oddRow, oddColumn)).flat(),
    ),
  )
  const [above, below] = [2 * borders!.data[2 * strip]! + 1, 2 * borders!.data[2 * strip + 1]!]
  return [...own, ...[above, below].flatMap((y) => [...rowOf(y, 0), ...rowOf(y, 1)])]
}

/** The same by definition. */
function neighbourhoods([height, width]: [number, number]): number[][] {
  return Array.from({ length: height * width }, (_, pixel) =>
    Array.from({ length: 9 }, (_, tap) => {
      const y = Math.floor(pixel / width) + Math.floor(tap / 3) - 1
      const x = (pixel % width) + (tap % 3) - 1
      return y < 0 || y >= height || x < 0 || x >= width ? BEYOND : y * width + x
    }),
  )
}

/** The pixel that a pixel of the doubled map repeats. */
function sourceOf(pixel: number, [, width]: [number, number]): number {
  const [y, x] = [Math.floor(pixel / (2 * width)), pixel % (2 * width)]
  return (y >> 1) * width + (x >> 1)
}

const CHANNELS = 4
const MAPS: [height: number, width: number][] = [
  [6, 5],
  [7, 4],
  [1, 3],
  [8, 1],
]

describe.each(MAPS)('a map of %i x %i', (height, width) => {
  const size: [number, number] = [height, width]
  const dims = [1, height, width, CHANNELS]
  const rowBytes = width * CHANNELS * 4

  it.each([1, 2, 100])('has the same neighbourhoods in strips of about %i rows', (rows) => {
    const { strip_borders: borders, strip_neighbours: neighbours } = stripInputs(
      { dims },
      { stripBytes: rows * rowBytes },
    )
    const found = gather(neighbours, (strip) => stripOf(size, borders, strip))
    expect(found).toEqual(neighbourhoods(size))
  })

  describe.each([2, 4, 100])('that is doubled in strips of about %i rows', (rows) => {
    const inputs = stripInputs({ dims }, { stripBytes: 2 * rows * rowBytes })
    const { source_borders: borders } = inputs
    const large: [number, number] = [2 * height, 2 * width]
    const inPhases = (strip: number) => phasesOf(size, borders, strip)
    const rowsOfStrip = large[0] / borders!.dims[0]!

    it('has in four places of each phase what is in the nine', () => {
      const found = gather(inputs.source_neighbours, (strip) => stripOf(size, borders, strip))
      // Which pixels of the small map each pixel of the doubled one sees, in the order that results come in.
      const wanted = neighbourhoods(large).map((nine) => [
        ...new Set(nine.map((pixel) => (pixel === BEYOND ? BEYOND : sourceOf(pixel, size)))),
      ])
      const pixels = (rowsOfStrip * large[1]) / 4
      for (let strip = 0; strip < borders!.dims[0]!; strip++)
        for (const [i, pixel] of inPhases(strip)
          .slice(0, 4 * pixels)
          .entries())
          expect([...new Set(found[4 * pixels * strip + i])].sort()).toEqual(wanted[pixel]!.sort())
    })

    it('has the same neighbourhoods where its pixels lie in four phases', () => {
      expect(gather(inputs.phase_neighbours, inPhases)).toEqual(neighbourhoods(large))
      const order = { ...inputs.phase_order!, dims: [...inputs.phase_order!.dims, 1] } as Places
      expect(gather(order, inPhases).flat()).toEqual(Array.from({ length: 4 * height * width }, (_, i) => i))
    })
  })

  it('says which rows around a strip are beyond the border', () => {
    const { strip_rows: rows, strip_mask: mask } = stripInputs({ dims }, { stripBytes: rowBytes })
    const [strips, each] = rows!.dims as [number, number]
    const wanted = Array.from({ length: strips * each }, (_, i) => Math.floor(i / each) + (i % each) - 1)
    if (strips === height)
      expect([...mask!.data]).toEqual(wanted.map((row) => (row >= 0 && row < height ? 1 : 0)))
    expect([...rows!.data].every((row) => row >= 0 && row < height)).toBe(true)
  })
})

it('cuts a map into equal strips, as near to the wanted size as its height allows', () => {
  const rowsOf = (height: number, bytes: number) => {
    const { strip_neighbours: neighbours } = stripInputs(
      { dims: [1, height, 10, CHANNELS] },
      { stripBytes: bytes },
    )
    return neighbours!.dims[1]! / 10
  }
  expect(rowsOf(12, 3 * 160)).toBe(3)
  expect(rowsOf(12, 5 * 160)).toBe(6)
  expect(rowsOf(12, 1e9)).toBe(12)
  expect(rowsOf(13, 6 * 160)).toBe(13) // a prime number of rows can be cut into single ones only
})
