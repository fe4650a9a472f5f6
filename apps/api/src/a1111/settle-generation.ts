import {
  CreateImages,
  describeIssues,
  MAX_GUIDANCE,
  MAX_IMAGES,
  MAX_SIDE,
  MIN_SIDE,
  type Model,
  SIDE_MULTIPLE,
} from '@sdcpu/contract'
import { ApiError } from '../api-error.ts'
import type { Img2ImgBody, Txt2ImgBody } from './generation-body.ts'
import { pickSampler } from './pick-sampler.ts'
import { refuseWhatWouldCheat } from './refuse-generation.ts'

const SEEDS = 2 ** 32 // no more of a seed has an effect
const LITTLE_GUIDANCE = 2 // models made for this much or less break beyond twice of it
const DEFAULT_STRENGTH = 0.75 // AUTOMATIC1111's

/** What a request of AUTOMATIC1111's is drawn with here. */
export type Settled = {
  create: CreateImages
  /** AUTOMATIC1111's names of what it is drawn with. */
  sampler: string
  schedule: string
  batchSize: number
  /** What of the request is not drawn as it was asked, a sentence each. */
  warnings: string[]
}

/** How many images a body asks for. @throws `invalid_request` with the limit */
export function countImages({
  batch_size = 1,
  n_iter = 1,
}: Pick<Txt2ImgBody, 'batch_size' | 'n_iter'>): number {
  const n = batch_size * n_iter
  if (Number.isInteger(batch_size) && Number.isInteger(n_iter) && n >= 1 && n <= MAX_IMAGES) return n
  throw new ApiError(
    'invalid_request',
    `batch_size ${batch_size} x n_iter ${n_iter} is ${n} images; it must be a whole number from 1 to ${MAX_IMAGES}`,
  )
}

/**
 * Puts a request of AUTOMATIC1111's into our words. What clients send unasked (20 or 50 steps, a cfg_scale of 7, any size)
 * is drawn as near to it as the model can, and told; what would give another kind of picture is refused.
 * @throws `invalid_request`
 */
export function settleGeneration(body: Txt2ImgBody | Img2ImgBody, model: Model): Settled {
  refuseWhatWouldCheat(body, model)
  const warnings: string[] = []
  const { label, schedule, ...way } = pickSampler(
    { sampler: body.sampler_name || body.sampler_index, scheduler: body.scheduler },
    model,
  )
  const image = 'init_images' in body ? body.init_images[0] : undefined
  const strength = image === undefined ? undefined : (body.denoising_strength ?? DEFAULT_STRENGTH)
  const { batch_size: batchSize = 1 } = body
  const parsed = CreateImages.safeParse({
    ...way,
    prompt: body.prompt ?? '',
    ...(body.negative_prompt && { negativePrompt: body.negative_prompt }),
    n: countImages(body),
    ...settleSeed(body.seed),
    size: settleSize(body, model, warnings),
    steps: settleSteps(body.steps, { model, strength, warnings }),
    guidance: settleGuidance(body.cfg_scale, { model, warnings }),
    emphasis: true,
    model: model.name,
    ...(image !== undefined && { image, strength }),
  })
  if (!parsed.success) throw new ApiError('invalid_request', describeIssues(parsed.error))
  if (body.restore_faces) warnings.push('restore_faces has no effect: there is no restorer')
  return { create: parsed.data, sampler: label, schedule, batchSize, warnings }
}

function settleSeed(seed = -1): { seed?: number } {
  return seed < 0 ? {} : { seed: Number.isInteger(seed) ? seed % SEEDS : seed }
}

// As near to what was asked as can be drawn, in the same shape.
function settleSize(
  { width, height }: Pick<Txt2ImgBody, 'width' | 'height'>,
  { nativeSize }: Model,
  warnings: string[],
): string | undefined {
  if (width === undefined && height === undefined) return undefined
  const own = Math.min(nativeSize, MAX_SIDE)
  const asked = [width ?? own, height ?? own]
  for (const [i, side] of asked.entries())
    if (!(side >= 1))
      throw new ApiError(
        'invalid_request',
        `${i === 0 ? 'width' : 'height'} is ${side}; it must be 1 or more`,
      )
  const scale = Math.min(1, MAX_SIDE / Math.max(...asked))
  const drawn = asked.map((side) =>
    Math.max(MIN_SIDE, Math.round((side * scale) / SIDE_MULTIPLE) * SIDE_MULTIPLE),
  )
  const size = drawn.join('x')
  if (size !== asked.join('x'))
    warnings.push(
      `the size was ${asked.join('x')}; sides are multiples of ${SIDE_MULTIPLE} from ${MIN_SIDE} to ${MAX_SIDE}, and it is drawn as ${size}`,
    )
  return size
}

function settleSteps(
  asked: number | undefined,
  { model, strength = 1, warnings }: { model: Model; strength?: number | undefined; warnings: string[] },
): number {
  const { name, defaultSteps, maxSteps } = model
  if (asked && asked > maxSteps)
    warnings.push(
      `steps was ${asked}; the model ${name} has use for ${maxSteps} at most, and its own ${defaultSteps} are drawn`,
    )
  const steps = !asked || asked > maxSteps ? defaultSteps : asked // Open WebUI can be set to 0
  // Of an image only a share of the steps is drawn; AUTOMATIC1111 draws one at least.
  const least = Math.ceil(1 / strength)
  if (!(strength > 0) || steps >= least || least > maxSteps) return steps
  warnings.push(
    `steps was ${steps}; denoising_strength ${strength} leaves none of them, and ${least} are taken`,
  )
  return least
}

function settleGuidance(
  asked: number | undefined,
  { model: { name, defaultGuidance }, warnings }: { model: Model; warnings: string[] },
): number {
  const most = defaultGuidance <= LITTLE_GUIDANCE ? 2 * Math.max(1, defaultGuidance) : MAX_GUIDANCE
  if (asked === undefined) return defaultGuidance
  if (asked <= most) return asked
  warnings.push(
    `cfg_scale was ${asked}; the model ${name} has use for ${most} at most, and its own ${defaultGuidance} is drawn with`,
  )
  return defaultGuidance
}
