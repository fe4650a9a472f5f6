export type Shape = 'square' | 'portrait' | 'landscape' | 'wide'
type Size = { width: number; height: number }

export const SHAPES: readonly Shape[] = ['square', 'portrait', 'landscape', 'wide']

const RATIOS: Record<Shape, number> = { square: 1, portrait: 3 / 4, landscape: 4 / 3, wide: 16 / 9 }
const SCALES = [1, 1.5, 2]
// UNets halve the latents twice or thrice, and each latent is 8 pixels: these sides divide evenly at every level.
const SIDE_MULTIPLE = 32
export const MAX_SIDE = 1024 // the API's own limit; a test compares it with the contract's
const OWN_SIDE_UNKNOWN = 512 // SDXL-Turbo's, for as long as no model is known

/** What a model says of sizes: the side it was trained for, and the sizes it draws well. */
type ModelSizes = { nativeSize: number; sizes: string[] }

/** Sizes of one shape to choose from, those the model draws well first. */
export function sizesOf(shape: Shape, model?: ModelSizes): string[] {
  const own = model?.sizes.filter((size) => shapeOf(size) === shape) ?? []
  const side = model?.nativeSize ?? OWN_SIDE_UNKNOWN
  const scales = own.length > 0 ? SCALES.filter((scale) => scale > 1) : SCALES
  return [...new Set([...own, ...scales.map((scale) => toText(sizeOf(shape, side * scale)))])]
}

/** The shape that a size is nearest to; the square one where there is no size. */
export function shapeOf(size: string): Shape {
  const read = readSize(size)
  if (!read) return 'square'
  const distance = (shape: Shape) => Math.abs(Math.log(read.width / read.height / RATIOS[shape]))
  return SHAPES.reduce((nearest, shape) => (distance(shape) < distance(nearest) ? shape : nearest))
}

/** Reads "512x384"; nothing where it is not written so. */
export function readSize(text: string): Size | undefined {
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(text) ?? []
  return width && height && Number(width) && Number(height)
    ? { width: Number(width), height: Number(height) }
    : undefined
}

/** A size as people write it. */
export function showSize(text: string): string {
  const size = readSize(text)
  return size ? `${size.width} × ${size.height}` : text
}

// The area of a square of `side`, because that is what time and memory go by; smaller where a side would be too long.
function sizeOf(shape: Shape, side: number): Size {
  const ratio = RATIOS[shape]
  const width = side * Math.sqrt(ratio)
  const height = side / Math.sqrt(ratio)
  const shrink = Math.min(1, MAX_SIDE / Math.max(width, height))
  return { width: toSide(width * shrink), height: toSide(height * shrink) }
}

function toSide(pixels: number): number {
  return Math.max(SIDE_MULTIPLE * 2, Math.round(pixels / SIDE_MULTIPLE) * SIDE_MULTIPLE)
}

function toText({ width, height }: Size): string {
  return `${width}x${height}`
}
