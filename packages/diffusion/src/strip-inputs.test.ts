import { describe, expect, it } from 'vitest'
import { stripInputs } from './strip-inputs.ts'

const BEYOND = -1

/** What each pixel of the output finds at its nine places, of a map whose values are the numbers of its pixels. */
function gather(
  [height, width]: [number, number],
  inputs: ReturnType<typeof stripInputs>,
  kind: 'strip' | 'source',
): number[][] {
  const borders = inputs[`${kind}_borders`]!
  const neighbours = inputs[`${kind}_neighbours`]!
  const [strips, pixels] = neighbours.dims as [number, number]
  const rows = height / strips
  const rowOf = (y: number) => Array.from({ length: width }, (_, x) => y * width + x)
  return Array.from({ length: strips }, (_, strip) => {
    const own = Array.from({ length: rows }, (_, i) => rowOf(strip * rows + i)).flat()
    const around = [0, 1].flatMap((i) => rowOf(borders.data[2 * strip + i]!))
    const values = [...own, ...around, BEYOND]
    return Array.from({ length: pixels }, (_, pixel) =>
      Array.from({ length: 9 }, (_, tap) => values[neighbours.data[(strip * pixels + pixel) * 9 + tap]!]!),
    )
  }).flat()
}

/** The same by definition: pixel `i` of an enlarged map is pixel `i / 2` of the map. */
function neighbourhoods([height, width]: [number, number], scale: number): number[][] {
  const [tall, wide] = [scale * height, scale * width]
  return Array.from({ length: tall * wide }, (_, pixel) =>
    Array.from({ length: 9 }, (_, tap) => {
      const y = Math.floor(pixel / wide) + Math.floor(tap / 3) - 1
      const x = (pixel % wide) + (tap % 3) - 1
      if (y < 0 || y >= tall || x < 0 || x >= wide) return BEYOND
      return Math.floor(y / scale) * width + Math.floor(x / scale)
    }),
  )
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
    const inputs = stripInputs({ dims }, { stripBytes: rows * rowBytes })
    expect(gather(size, inputs, 'strip')).toEqual(neighbourhoods(size, 1))
  })

  it.each([2, 4, 100])('has those of the enlarged map in strips of about %i of its rows', (rows) => {
    const inputs = stripInputs({ dims }, { stripBytes: 2 * rows * rowBytes })
    expect(gather(size, inputs, 'source')).toEqual(neighbourhoods(size, 2))
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
