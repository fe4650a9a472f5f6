import { type FloatTensor, release } from './graph-session.ts'
import { toChannelsFirst } from './layout.ts'
import type { Model } from './model.ts'
import { ModelError } from './model-error.ts'
import { type RgbPicture, readPicture } from './read-picture.ts'

/** What a VAE makes of a picture, [channels, height, width], not yet scaled. */
export type EncodedPicture = {
  mean: Float32Array
  /** Spread of the latents to draw from; a tiny autoencoder has none. */
  deviation?: Float32Array
}

/**
 * Encodes pictures to begin with, files among them fitted to the size; equal ones are encoded once. One after another, as they are
 * decoded: feature maps at full size are the largest there are.
 * @throws RangeError when a file is no picture, or a picture not of the size; ModelError when the model has no encoder
 */
export async function encodePictures(
  model: Model,
  images: (Uint8Array | RgbPicture)[],
  { width, height }: { width: number; height: number },
): Promise<EncodedPicture[]> {
  const known: { rgb: Uint8Array; encoded: EncodedPicture }[] = []
  const result: EncodedPicture[] = []
  for (const image of images) {
    const picture = image instanceof Uint8Array ? await readPicture(image, { width, height }) : image
    if (picture.width !== width || picture.height !== height)
      throw new RangeError(
        `the image is ${picture.width}x${picture.height}; it must be ${width}x${height}, as what is drawn from it`,
      )
    const same = known.find(({ rgb }) => Buffer.compare(rgb, picture.rgb) === 0)
    const encoded = same?.encoded ?? (await encodePicture(model, picture))
    if (!same) known.push({ rgb: picture.rgb, encoded })
    result.push(encoded)
  }
  return result
}

/**
 * Encodes one picture as diffusers' `AutoencoderKL.encode` and `AutoencoderTiny.encode` do, pixels scaled as its
 * `VaeImageProcessor` scales them.
 * @throws ModelError when the model has no encoder
 */
export async function encodePicture(
  model: Model,
  { rgb, width, height }: RgbPicture,
): Promise<EncodedPicture> {
  const graphs = await model.openEncoder()
  if (graphs.length === 0)
    throw new ModelError(
      `${model.manifest.name} was compiled without an encoder, so it cannot draw from a picture; its VAE's weights must hold one`,
    )
  const pixels = Float32Array.from(rgb, (value) => Math.fround(Math.fround(value / 255) * 2) - 1)
  let features: FloatTensor = { data: pixels, dims: [1, height, width, 3] }
  for (const graph of graphs) {
    const { features_out, latents_out, moments } = await graph.run({ pixels: features, features })
    release(features)
    if (moments) return splitMoments(moments)
    if (latents_out) return { mean: toChannelsFirst(latents_out.data, shapeOf(latents_out)) }
    features = features_out!
  }
  throw new Error('the encoder ended in neither moments nor latents. This is a bug.')
}

/** The distribution of the latents; bounds of the logarithm as in diffusers' `DiagonalGaussianDistribution`. */
function splitMoments(moments: FloatTensor): EncodedPicture {
  const both = toChannelsFirst(moments.data, shapeOf(moments))
  const half = both.length / 2
  const clamp = (value: number) => Math.min(Math.max(value, -30), 20)
  return {
    mean: both.slice(0, half),
    deviation: both.slice(half).map((value) => Math.exp(0.5 * clamp(value))),
  }
}

const shapeOf = ({ dims }: FloatTensor) => ({
  batch: dims[0]!,
  height: dims[1]!,
  width: dims[2]!,
  channels: dims[3]!,
})
