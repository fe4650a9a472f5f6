import { type FloatTensor, type GraphInput, release } from './graph-session.ts'
import { type LatentShape, toChannelsLast } from './layout.ts'
import type { Model } from './model.ts'
import { stripInputs } from './strip-inputs.ts'

export type Pixels = { rgb: Uint8Array; width: number; height: number }

export type DecodeOptions = {
  /** Asked before each graph; what is decoded of an image that is given up is nothing. */
  isAborted?: (image: number) => boolean
}

/**
 * Decodes latents [images, channels, height / 8, width / 8] to 8-bit RGB, one image after another: the decoder's
 * feature maps are the largest of the whole pipeline, and a batch would multiply them.
 */
export async function decode(
  model: Model,
  latents: Float32Array,
  shape: LatentShape,
  { isAborted = () => false }: DecodeOptions = {},
): Promise<(Pixels | undefined)[]> {
  const { scalingFactor } = model.manifest.vae
  const one = { ...shape, batch: 1 }
  const valuesPerImage = latents.length / shape.batch
  const images: (Pixels | undefined)[] = []
  for (let image = 0; image < shape.batch; image++) {
    const values = latents.subarray(image * valuesPerImage, (image + 1) * valuesPerImage)
    const scaled = toChannelsLast(values, one).map((value) => value / scalingFactor)
    const input = { data: scaled, dims: [1, shape.height, shape.width, shape.channels] }
    const decoded = await runDecoder(model, input, () => isAborted(image))
    images.push(decoded && toRgb(decoded))
    if (decoded) release(decoded)
  }
  return images
}

async function runDecoder(
  model: Model,
  latents: FloatTensor,
  isAborted: () => boolean,
): Promise<FloatTensor | undefined> {
  let features = latents
  for (const graph of model.decoder) {
    if (isAborted()) return undefined
    const taken = new Set<GraphInput>([features])
    const inputs = Object.assign(stripInputs(features), { latents: features, features })
    const outputs = await graph.run(noting(inputs, taken))
    for (const input of taken) release(input)
    features = outputs.pixels ?? joined(outputs.features_out!, features)
  }
  return features
}

/** The same inputs; each that is looked at joins the `taken`. */
function noting(inputs: Record<string, GraphInput>, taken: Set<GraphInput>): Record<string, GraphInput> {
  return new Proxy(inputs, {
    get(all, name: string) {
      const input = all[name]
      if (input) taken.add(input)
      return input
    },
  })
}

/** A feature map that was computed in strips as a whole one, [1, height, width, channels]; `from` is what it was made from. */
function joined(features: FloatTensor, { dims: from }: FloatTensor): FloatTensor {
  if (features.dims.length === 4) return features
  const [strips, pixels, channels] = features.dims as [number, number, number]
  const [height, width] = [from[1]!, from[2]!]
  const scale = Math.sqrt((strips * pixels) / (height * width))
  return { data: features.data, dims: [1, scale * height, scale * width, channels] }
}

/** -1…1 to 0…255, rounding halves to even as numpy does in diffusers' `numpy_to_pil`. */
function toRgb({ data, dims }: FloatTensor): Pixels {
  const rgb = new Uint8Array(data.length)
  for (let i = 0; i < data.length; i++) {
    const value = Math.fround(Math.min(Math.max(data[i]! / 2 + 0.5, 0), 1) * 255)
    const floor = Math.floor(value)
    rgb[i] = value - floor === 0.5 ? floor + (floor % 2) : Math.round(value)
  }
  return { rgb, height: dims[1]!, width: dims[2]! }
}
