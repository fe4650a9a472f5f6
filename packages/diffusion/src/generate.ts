import { decode, type Pixels } from './decode.ts'
import { encodePrompts } from './encode-prompts.ts'
import type { DrawnImage, GenerateOptions, ImageInput, StageTimings } from './engine.ts'
import type { Model } from './model.ts'
import { encodePng, formatParameters } from './png.ts'
import { sample } from './sample.ts'

/**
 * Draws a batch of pictures of one shape: encodes the prompts, samples latents, decodes them and writes PNGs.
 * A picture does not depend on what else is in its batch.
 * @throws RangeError when a size or number of steps is not possible, or the inputs differ in shape
 */
export async function generate(
  model: Model,
  inputs: ImageInput[],
  { onStep }: GenerateOptions = {},
): Promise<DrawnImage[]> {
  const { width, height, steps } = checkShape(model, inputs)
  const clock = createClock()
  const conditioning = await encodePrompts(
    model,
    inputs.map((input) => input.prompt),
  )
  const encoded = clock()
  const stepMs: number[] = []
  const { latents, shape } = await sample(
    model,
    conditioning,
    { seeds: inputs.map((input) => input.seed), width, height, steps },
    {
      onStep(step) {
        stepMs.push(clock())
        onStep?.(step)
      },
    },
  )
  const pixels = await decode(model, latents, shape)
  const decoded = clock()
  const pngs = await Promise.all(inputs.map((input, i) => toPng(model, input, pixels[i]!)))
  const timingsMs: StageTimings = {
    encodePrompts: encoded,
    steps: stepMs,
    decode: decoded,
    encodePng: clock(),
  }
  return inputs.map(({ seed }, i) => ({ png: pngs[i]!, seed, width, height, steps, timingsMs }))
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

function checkShape(model: Model, inputs: ImageInput[]): Pick<ImageInput, 'width' | 'height' | 'steps'> {
  const first = inputs[0]
  if (!first) throw new RangeError('a batch has at least one picture; this one has 0')
  const { width, height, steps } = first
  for (const input of inputs)
    if (input.width !== width || input.height !== height || input.steps !== steps)
      throw new RangeError(
        `a batch draws one shape: ${width}x${height} in ${steps} steps and ${input.width}x${input.height} in ${input.steps} do not go together`,
      )
  const { spatialFactor } = model.manifest.vae
  for (const [name, value] of Object.entries({ width, height }))
    if (!Number.isInteger(value) || value < spatialFactor || value % spatialFactor !== 0)
      throw new RangeError(`${name} is ${value}; it must be a multiple of ${spatialFactor}`)
  return { width, height, steps }
}

async function toPng(model: Model, input: ImageInput, { rgb, width, height }: Pixels): Promise<Uint8Array> {
  const parameters = formatParameters({
    prompt: input.prompt,
    steps: input.steps,
    sampler: 'Euler a',
    guidance: 1,
    seed: input.seed,
    width,
    height,
    model: model.manifest.name,
    version: 'stable-diffusion-cpu',
  })
  const png = await encodePng(rgb, { width, height, parameters })
  // A buffer of its own, so that it can be handed to another thread without a copy.
  return png.byteLength === png.buffer.byteLength ? png : new Uint8Array(png)
}
