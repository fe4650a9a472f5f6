import { MAX_SIDE, MIN_SIDE, SIDE_MULTIPLE } from '@sdcpu/contract'
import { ApiError } from '../api-error.ts'

type Size = { width: number; height: number }

/**
 * Reads `size`; undefined where it is left to the model.
 * @throws `invalid_request` where it is neither `auto` nor WIDTHxHEIGHT
 */
export function readSize(text: string | null | undefined): Size | undefined {
  if (text === undefined || text === null || text === 'auto') return undefined
  const [width, height] = /^(\d{1,5})x(\d{1,5})$/i.exec(text)?.slice(1).map(Number) ?? []
  if (!width || !height)
    throw new ApiError(
      'invalid_request',
      `size is ${JSON.stringify(text.slice(0, 40))}; it must be "auto" or WIDTHxHEIGHT`,
      { param: 'size' },
    )
  return { width, height }
}

/**
 * The size that is drawn in place of one that is asked for: the same where it can be, otherwise one of about the same
 * shape, as large as the service allows and a worker has memory for.
 */
export function fitSize({ width, height }: Size, maxPixels = Infinity): string {
  const shrunk = Math.min(1, MAX_SIDE / Math.max(width, height), Math.sqrt(maxPixels / (width * height)))
  const scale = Math.max(shrunk, MIN_SIDE / Math.min(width, height))
  const toSide = (round: (value: number) => number) => (side: number) => {
    const multiple = round((side * scale) / SIDE_MULTIPLE) * SIDE_MULTIPLE
    return Math.min(Math.max(multiple, MIN_SIDE), MAX_SIDE)
  }
  const [w, h] = [width, height].map(toSide(Math.round)) as [number, number]
  return (w * h <= maxPixels ? [w, h] : [width, height].map(toSide(Math.floor))).join('x')
}

/** The size of about as many pixels as a square of `side` that a picture of this shape is drawn from best. */
export function sizeLike({ width, height }: Size, side: number): Size {
  const scale = side / Math.sqrt(width * height)
  return { width: width * scale, height: height * scale }
}
