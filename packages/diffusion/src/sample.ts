import type { Conditioning } from './encode-prompts.ts'
import type { FloatTensor } from './graph-session.ts'
import { type LatentShape, toChannelsFirst, toChannelsLast } from './layout.ts'
import type { Model } from './model.ts'
import { createGenerator, drawBatchNoise } from './noise.ts'
import {
  type Denoise,
  type SampleOptions,
  sampleEulerAncestral,
  scaleModelInput,
  toDenoised,
} from './sampler.ts'
import { buildSchedule } from './schedule.ts'
import { embedSinusoid } from './sinusoid.ts'

export type SampleInput = {
  /** One per image. */
  seeds: number[]
  width: number
  height: number
  steps: number
}

/**
 * Draws latents for a batch of images of one size: [images, channels, height / 8, width / 8].
 * Each image's noise comes from its own seed, in torch's order, so that it does not depend on its batch mates.
 */
export async function sample(
  model: Model,
  conditioning: Conditioning,
  { seeds, width, height, steps }: SampleInput,
  options: SampleOptions = {},
): Promise<{ latents: Float32Array; shape: LatentShape }> {
  const { unet, vae, scheduler } = model.manifest
  const shape: LatentShape = {
    batch: seeds.length,
    channels: unet.latentChannels,
    height: height / vae.spatialFactor,
    width: width / vae.spatialFactor,
  }
  const valuesPerImage = shape.channels * shape.height * shape.width
  const schedule = buildSchedule(scheduler, steps)
  const generators = seeds.map(createGenerator)
  const noise = () => drawBatchNoise(generators, valuesPerImage)
  const initial = noise().map((value) => value * schedule.initNoiseSigma)
  const denoise = createDenoise(model, conditioning, shape, { width, height })
  const latents = await sampleEulerAncestral(denoise, initial, schedule, noise, options)
  return { latents, shape }
}

/** The UNet behind the sampler's interface: scaling, layout and what the prediction means stay in here. */
function createDenoise(
  model: Model,
  { context, pooled }: Conditioning,
  shape: LatentShape,
  size: { width: number; height: number },
): Denoise {
  const { unet, scheduler } = model.manifest
  const pooledAndSizes = joinPooledAndSizes(model, pooled, size)
  return async (latents, { timestep, sigma }) => {
    const scaled = scaleModelInput(latents, sigma)
    const sinusoid = embedSinusoid(new Array(shape.batch).fill(timestep), unet.modelChannels, unet)
    const output = await runDenoiser(model, {
      sample: {
        data: toChannelsLast(scaled, shape),
        dims: [shape.batch, shape.height, shape.width, shape.channels],
      },
      timestep_sinusoid: { data: sinusoid, dims: [shape.batch, unet.modelChannels] },
      pooled_and_sizes: pooledAndSizes,
      context,
    })
    return toDenoised(toChannelsFirst(output.data, shape), latents, sigma, scheduler.prediction_type)
  }
}

async function runDenoiser(model: Model, inputs: Record<string, FloatTensor>): Promise<FloatTensor> {
  const { down, mid, up } = model.denoiser
  const { context } = inputs
  const { features, time, ...skips } = await down.run(inputs)
  const { features_out } = await mid.run({ features: features!, time: time!, context: context! })
  const { prediction } = await up.run({ ...skips, features: features_out!, time: time!, context: context! })
  return prediction!
}

/**
 * SDXL's extra conditioning, [images, projection + 6 · dim]: the pooled prompt, then sinusoids of original size, crop
 * corner and target size. Source: diffusers `StableDiffusionXLPipeline._get_add_time_ids`.
 */
function joinPooledAndSizes(
  model: Model,
  pooled: FloatTensor,
  { width, height }: { width: number; height: number },
): FloatTensor {
  const { unet } = model.manifest
  const sizes = embedSinusoid([height, width, 0, 0, height, width], unet.additionTimeEmbedDim, unet)
  const [images, projection] = pooled.dims as [number, number]
  const total = projection + sizes.length
  const data = new Float32Array(images * total)
  for (let image = 0; image < images; image++) {
    data.set(pooled.data.subarray(image * projection, (image + 1) * projection), image * total)
    data.set(sizes, image * total + projection)
  }
  return { data, dims: [images, total] }
}
