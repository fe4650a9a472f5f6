import { drawnSteps } from './batch-settings.ts'
import type { ConditioningGroup } from './encode-batch.ts'
import type { EncodedPicture } from './encode-pictures.ts'
import { type Conditioning, joinRows, selectRows } from './encode-prompts.ts'
import { type FloatTensor, release } from './graph-session.ts'
import { type LatentShape, toChannelsFirst, toChannelsLast } from './layout.ts'
import type { Model } from './model.ts'
import { createGenerator, drawBatchNoise, type Generator } from './noise.ts'
import { computePromptKeys, type PromptKeys, selectPromptKeys } from './prompt-keys.ts'
import { addScaled, type Denoise, type SampleOptions, scaleModelInput, toDenoised } from './sampler.ts'
import { defaultSampler, prepareSampler, type SamplerName } from './sampler-table.ts'
import { embedSinusoid } from './sinusoid.ts'

export type SampleInput = {
  /** One per image. */
  seeds: number[]
  width: number
  height: number
  steps: number
  /** The model's own when absent. */
  sampler?: SamplerName
  /** Classifier-free guidance; it takes groups with negative conditioning. */
  guidance?: number
  /** Pictures to begin with, one per image, and how far to go from them; `steps` counts those left out too. */
  from?: { pictures: EncodedPicture[]; strength: number } | undefined
}

/** Every image of a batch was given up. */
export class AllAborted extends Error {
  override name = 'AllAborted'
}

type SampleControls = SampleOptions & {
  /** Whether an image of the batch is given up; its latents mean nothing then. */
  isAborted?: (image: number) => boolean
  /** Given the clean latents that each step but the last led towards, before the next one begins. */
  onDenoised?: (denoised: Float32Array, at: { stepsDone: number; shape: LatentShape }) => Promise<void>
}

/**
 * Draws latents for a batch of images of one size: [images, channels, height / 8, width / 8].
 * Each image's noise comes from its own seed, in torch's order, so that it does not depend on its batch mates.
 * Conditioning is one for all images, or in groups of images whose prompts are equally long.
 * @throws AllAborted before the next segment of the denoiser once no image is wanted any more
 */
export async function sample(
  model: Model,
  conditioning: Conditioning | ConditioningGroup[],
  { seeds, width, height, steps, sampler, guidance = 1, from }: SampleInput,
  { isAborted = () => false, onDenoised, ...options }: SampleControls = {},
): Promise<{ latents: Float32Array; shape: LatentShape }> {
  const { unet, vae, scheduler } = model.manifest
  const shape: LatentShape = {
    batch: seeds.length,
    channels: unet.latentChannels,
    height: height / vae.spatialFactor,
    width: width / vae.spatialFactor,
  }
  const valuesPerImage = shape.channels * shape.height * shape.width
  const skip = from ? steps - drawnSteps(steps, from.strength) : 0
  const name = sampler ?? defaultSampler(scheduler)
  const { initNoiseSigma, firstSigma, draw } = prepareSampler(name, scheduler, steps, skip)
  const generators = seeds.map(createGenerator)
  const noise = () => drawBatchNoise(generators, valuesPerImage)
  const initial = from
    ? addScaled(drawPictureLatents(from.pictures, generators, vae.scalingFactor), noise(), firstSigma)
    : noise().map((value) => value * initNoiseSigma)
  const groups = Array.isArray(conditioning)
    ? conditioning
    : [{ images: [...seeds.keys()], positive: conditioning }]
  const checkpoint = () => {
    if (seeds.every((_, image) => isAborted(image))) throw new AllAborted('every image was given up')
  }
  const predictors: { images: number[]; predict: Predict }[] = []
  for (const group of groups)
    predictors.push({
      images: group.images,
      predict: await createPredictor(model, group, { width, height, guidance, checkpoint }),
    })
  let last: { denoised: Float32Array; step: number } | undefined
  const denoise: Denoise = async (latents, { step, timestep, sigma }) => {
    checkpoint()
    if (last && step > last.step) await onDenoised?.(last.denoised, { stepsDone: last.step + 1, shape })
    const scaled = { data: scaleModelInput(latents, sigma), dims: [shape.batch, valuesPerImage] }
    const output = new Float32Array(latents.length)
    for (const { images, predict } of predictors) {
      const living = [...images.keys()].filter((row) => !isAborted(images[row]!))
      if (living.length === 0) continue
      const wanted = living.map((row) => images[row]!)
      const { data } = selectRows(scaled, wanted)
      const predicted = await predict(data, { ...shape, batch: living.length }, { timestep, living })
      wanted.forEach((image, i) => {
        output.set(predicted.subarray(i * valuesPerImage, (i + 1) * valuesPerImage), image * valuesPerImage)
      })
    }
    const denoised = toDenoised(output, latents, sigma, scheduler.prediction_type)
    last = { denoised, step }
    return denoised
  }
  return { latents: await draw(denoise, initial, noise, options), shape }
}

/**
 * Draws each picture's latents from what the VAE says of it, its spread before all other noise of its seed. Source:
 * diffusers' `StableDiffusionXLImg2ImgPipeline.prepare_latents`; its schedulers' `add_noise` is x0 + sigma · noise where,
 * as here, latents grow with sigma.
 */
function drawPictureLatents(
  pictures: EncodedPicture[],
  generators: Generator[],
  scalingFactor: number,
): Float32Array {
  const each = pictures.map(({ mean, deviation }, i) => {
    if (!deviation) return mean.map((value) => value * scalingFactor)
    const spread = drawBatchNoise([generators[i]!], mean.length)
    return mean.map((value, j) => scalingFactor * Math.fround(value + deviation[j]! * spread[j]!))
  })
  const joined = new Float32Array(each.length * each[0]!.length)
  each.forEach((latents, i) => {
    joined.set(latents, i * latents.length)
  })
  return joined
}

/** `living` are the rows of the group that are still wanted, which are those of `scaled`. */
type Predict = (
  scaled: Float32Array,
  shape: LatentShape,
  at: { timestep: number; living: number[] },
) => Promise<Float32Array>

/**
 * The UNet for one group of images, layout and guidance included: with negative conditioning each image has two rows in
 * one run, and what is returned leads from the negative prompt past the prompt.
 * Source: Ho and Salimans, "Classifier-Free Diffusion Guidance" (2022), equation 6, in the form of diffusers'
 * `StableDiffusionXLPipeline`: uncond + guidance · (cond - uncond).
 */
async function createPredictor(
  model: Model,
  { images, positive, negative }: ConditioningGroup,
  {
    width,
    height,
    guidance,
    checkpoint,
  }: { width: number; height: number; guidance: number; checkpoint: () => void },
): Promise<Predict> {
  const rows = negative ? joinConditioning(negative, positive) : positive
  const pooledAndSizes = joinPooledAndSizes(model, rows.pooled, { width, height })
  const promptKeys = await computePromptKeys(model, rows.context)
  return async (scaled, shape, { timestep, living }) => {
    const copies = negative ? [...living.keys(), ...living.keys()] : [...living.keys()]
    const wanted = negative ? [...living, ...living.map((row) => images.length + row)] : living
    const isWhole = living.length === images.length
    const select = (tensor: FloatTensor) => (isWhole ? tensor : selectRows(tensor, wanted))
    const all = { ...shape, batch: copies.length }
    const input = selectRows({ data: scaled, dims: [shape.batch, scaled.length / shape.batch] }, copies)
    const prediction = await runUnet(model, input.data, all, {
      timestep,
      pooledAndSizes: select(pooledAndSizes),
      promptKeys: isWhole ? promptKeys : selectPromptKeys(promptKeys, wanted),
      checkpoint,
    })
    if (!negative) return prediction
    const [uncond, cond] = [prediction.subarray(0, scaled.length), prediction.subarray(scaled.length)]
    return uncond.map((value, i) => value + guidance * Math.fround(cond[i]! - value))
  }
}

function joinConditioning(a: Conditioning, b: Conditioning): Conditioning {
  return { context: joinRows([a.context, b.context]), pooled: joinRows([a.pooled, b.pooled]) }
}

async function runUnet(
  model: Model,
  scaled: Float32Array,
  shape: LatentShape,
  {
    timestep,
    pooledAndSizes,
    promptKeys,
    checkpoint,
  }: { timestep: number; pooledAndSizes: FloatTensor; promptKeys: PromptKeys; checkpoint: () => void },
): Promise<Float32Array> {
  const { unet } = model.manifest
  const sinusoid = embedSinusoid(new Array(shape.batch).fill(timestep), unet.modelChannels, unet)
  const inputs = {
    sample: {
      data: toChannelsLast(scaled, shape),
      dims: [shape.batch, shape.height, shape.width, shape.channels],
    },
    timestep_sinusoid: { data: sinusoid, dims: [shape.batch, unet.modelChannels] },
    pooled_and_sizes: pooledAndSizes,
    ...promptKeys,
  }
  const output = await runDenoiser(model, inputs, checkpoint)
  return toChannelsFirst(output.data, shape)
}

/** Runs the denoiser's segments; `checkpoint` is asked between them and ends the run by throwing. */
async function runDenoiser(
  model: Model,
  inputs: Record<string, FloatTensor>,
  checkpoint: () => void,
): Promise<FloatTensor> {
  const { down, mid, up } = model.denoiser
  const { features, ...skips } = await down.run(inputs)
  checkpoint()
  const { features_out } = await mid.run({ ...inputs, ...skips, features: features! })
  release(features!)
  checkpoint()
  const { prediction } = await up.run({ ...inputs, ...skips, features: features_out! })
  for (const used of [features_out!, ...Object.values(skips)]) release(used)
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
