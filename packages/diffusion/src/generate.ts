import { type BatchSettings, drawnSteps, findWarnings, isGuided, settleBatch } from './batch-settings.ts'
import { decode, type Pixels } from './decode.ts'
import { encodeBatch } from './encode-batch.ts'
import { encodePictures } from './encode-pictures.ts'
import type { DrawnImage, ImageInput, Preview, StageTimings } from './engine.ts'
import type { Model } from './model.ts'
import { encodePng, formatParameters } from './png.ts'
import { previewSteps } from './preview-steps.ts'
import { AllAborted, sample } from './sample.ts'
import { readsSpacing, samplerLabel, scheduleLabel } from './sampler-table.ts'
import type { TimestepSpacing } from './scheduler-config.ts'

type DrawOptions = {
  /** Called after each denoising step with the number of steps done (1 to steps). */
  onStep?: (step: number) => void
  /** Called with each preview that an input asks for. */
  onPreview?: (preview: Preview) => void
  /** Asked between the model's segments; an image given up has an empty `png`. */
  isAborted?: (image: number) => boolean
}

/**
 * Draws a batch of pictures of one shape, sampler and guidance, and of one strength where they begin with images:
 * encodes prompts and images, samples latents, decodes them and writes PNGs. A picture does not depend on what else is in its batch.
 * @throws RangeError when a setting is not possible, or the inputs differ in one that a batch shares
 */
export async function generate(
  model: Model,
  inputs: ImageInput[],
  { onStep, onPreview, isAborted = () => false }: DrawOptions = {},
): Promise<DrawnImage[]> {
  const settings = settleBatch(model.manifest, inputs)
  const { width, height, steps, sampler, guidance, strength } = settings
  const clock = createClock()
  const { groups, tokenCounts } = await encodeBatch(model, inputs, { guided: isGuided(guidance) })
  const encoded = clock()
  const files = inputs.flatMap(({ image }) => image ?? [])
  const pictures = strength === undefined ? [] : await encodePictures(model, files, { width, height })
  const encodedImages = clock()
  const stepMs: number[] = []
  const previewMs: number[] = []
  const due = inputs.map(({ previews = 0 }) => previewSteps(drawnSteps(steps, strength), previews))
  const sampled = await sample(
    spaced(model, settings.timestepSpacing),
    groups,
    {
      ...settings,
      seeds: inputs.map((input) => input.seed),
      from: strength === undefined ? undefined : { pictures, strength },
    },
    {
      isAborted,
      onStep(step) {
        stepMs.push(clock())
        onStep?.(step)
      },
      async onDenoised(denoised, { stepsDone: step, shape }) {
        if (!due.some((each) => each.includes(step))) return
        const isLeftOut = (image: number) => !due[image]!.includes(step) || isAborted(image)
        const shown = await decode(model, denoised, shape, { isAborted: isLeftOut })
        previewMs.push(clock()) // or they would count as the next step's time
        for (const [image, pixels] of shown.entries()) if (pixels) onPreview?.({ ...pixels, image, step })
      },
    },
  ).catch(ignoreAllAborted)
  const pixels = sampled ? await decode(model, sampled.latents, sampled.shape, { isAborted }) : []
  const decoded = clock()
  const pngs = await Promise.all(
    inputs.map((input, i) => (pixels[i] ? toPng(model, input, settings, pixels[i]) : NO_PNG())),
  )
  const timingsMs: StageTimings = {
    encodePrompts: encoded,
    ...(strength !== undefined && { encodeImage: encodedImages }),
    steps: stepMs,
    ...(previewMs.length > 0 && { previews: previewMs.reduce((sum, ms) => sum + ms, 0) }),
    decode: decoded,
    encodePng: clock(),
  }
  return inputs.map((input, i) => ({
    png: pngs[i]!,
    seed: input.seed,
    width,
    height,
    steps,
    timingsMs,
    sampler,
    guidance,
    ...(strength !== undefined && { strength }),
    tokenCounts: tokenCounts[i]!,
    warnings: findWarnings(input, settings),
  }))
}

// Each its own: the bytes are handed to another thread.
const NO_PNG = () => new Uint8Array(0)

function ignoreAllAborted(error: unknown): undefined {
  if (!(error instanceof AllAborted)) throw error
}

/** The model as it draws with this timestep spacing, whatever its own config says. */
function spaced(model: Model, timestep_spacing: TimestepSpacing): Model {
  const scheduler = { ...model.manifest.scheduler, timestep_spacing }
  return { ...model, manifest: { ...model.manifest, scheduler } }
}

/** A function that gives the milliseconds since it was last called. */
function createClock(): () => number {
  let last = performance.now()
  return () => {
    const now = performance.now()
    const elapsed = now - last
    last = now
    return elapsed
  }
}

async function toPng(
  model: Model,
  { prompt, negativePrompt, timestepSpacing, seed }: ImageInput,
  { steps, sampler, guidance, strength }: BatchSettings,
  { rgb, width, height }: Pixels,
): Promise<Uint8Array> {
  const parameters = formatParameters({
    prompt,
    negativePrompt: isGuided(guidance) ? negativePrompt : undefined,
    steps,
    sampler: samplerLabel(sampler),
    schedule: timestepSpacing && readsSpacing(sampler) ? scheduleLabel(timestepSpacing) : undefined,
    guidance,
    strength,
    seed,
    width,
    height,
    model: model.manifest.name,
    version: 'stable-diffusion-cpu',
  })
  const png = await encodePng(rgb, { width, height, parameters })
  // A buffer of its own, so that it can be handed to another thread without a copy.
  return png.byteLength === png.buffer.byteLength ? png : new Uint8Array(png)
}
