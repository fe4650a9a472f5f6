import { decode, encodePrompts, loadModel, type Model, type OpenGraph, sample } from '@sdcpu/diffusion'
import type { ReferenceProbes } from './compile.ts'
import { createGraphPool, type Energies, type GraphPool } from './graph-pool.ts'
import { INTEGER_SCHEMES, type IntegerScheme, type LayerChoices, type Scheme } from './scheme.ts'

/** Decibels from fp32 that a model must have to count as good. */
export const BOUNDS = { latentsDb: 20, oneStepDb: 32, fourStepsDb: 28 }
export type Figures = typeof BOUNDS

// Subjects, styles and lengths of the kind people type; a model without text of its own is measured just as well.
const PROMPTS = [
  'a panda on a blue background',
  'portrait photo of an old fisherman, dramatic light, highly detailed',
  'a watercolour painting of a village by the sea at sunset, boats in the harbour, warm colours, soft shadows',
]
const FOUR_STEP_PROMPTS = 2
const FIRST_SEED = 1
// Equal pictures are infinitely far from noise; JSON has no such number.
const MOST_DB = 120
// Weights of the graphs open at a time: the largest of the full-size model is 5.6 GB.
const MAX_OPEN_BYTES = 6e9

/** A compiled model and the threads it is drawn with. */
export type AuditedModel = { folder: string; threads: number }

type Drawn = { latents: Float32Array[]; pictures: Uint8Array[] }

/** What the fp32 model draws, what its layers read at most, and what each would lose in each integer scheme. */
export type Reference = {
  oneStep: Drawn
  fourSteps: Drawn
  ranges: Map<string, number>
  energies: Map<string, Energies>
  /** Milliseconds of a picture of one step. */
  pictureMs: number
}

/** Draws the calibration prompts with a compiled reference, and one once more with probes. */
export async function measureReference(
  audited: AuditedModel,
  reference: ReferenceProbes,
): Promise<Reference> {
  const pool = createGraphPool({ maxBytes: MAX_OPEN_BYTES, reference })
  try {
    const model = await load(audited, pool.openWith)
    const drawn = await drawAll(model, pool)
    // One prompt: what all layers of a graph read and make is held at once.
    await pool.probe()
    await draw(model, PROMPTS.slice(0, 1), 1)
    return { ...drawn, ranges: pool.ranges, energies: pool.energies }
  } finally {
    await pool.close()
  }
}

/** Draws them with another compiled model and compares. */
export async function measureModel(
  audited: AuditedModel,
  reference: Reference,
): Promise<{ figures: Figures; pictureMs: number }> {
  const pool = createGraphPool({ maxBytes: MAX_OPEN_BYTES })
  try {
    const model = await load(audited, pool.openWith)
    const { oneStep, fourSteps, pictureMs } = await drawAll(model, pool)
    const figures = {
      latentsDb: worst(reference.oneStep.latents, oneStep.latents, signalToNoise),
      oneStepDb: worst(reference.oneStep.pictures, oneStep.pictures, peakSignalToNoise),
      fourStepsDb: worst(reference.fourSteps.pictures, fourSteps.pictures, peakSignalToNoise),
    }
    return { figures, pictureMs }
  } finally {
    await pool.close()
  }
}

export const promptCount = PROMPTS.length

export function meetsBounds(figures: Figures): boolean {
  return Object.entries(BOUNDS).every(([name, bound]) => figures[name as keyof Figures] >= bound)
}

/** What a layer must reach, in dB from exact; `staticDb` is for `int8-static`, which no layer takes where it is absent. */
export type Floor = { leastDb: number; staticDb?: number }

/**
 * For each layer the cheapest scheme that reaches its floor. A NaN or an infinite energy, an overflow, counts as too far from
 * exact.
 */
export function chooseSchemes(
  { energies, ranges }: Pick<Reference, 'energies' | 'ranges'>,
  { leastDb, staticDb = Number.POSITIVE_INFINITY }: Floor,
): LayerChoices {
  const floorOf = (scheme: IntegerScheme) => (scheme === 'int8-static' ? staticDb : leastDb)
  const choices: LayerChoices = { schemes: {}, ranges: {} }
  for (const [layer, { exact, errors }] of energies) {
    const scheme: Scheme =
      INTEGER_SCHEMES.find((each) => {
        const error = errors[each]
        return error !== undefined && (error === 0 ? MOST_DB : decibels(exact, error)) >= floorOf(each)
      }) ?? 'fp32'
    if (scheme !== 'int8') choices.schemes[layer] = scheme
    if (scheme === 'int8-static') choices.ranges[layer] = ranges.get(layer)!
  }
  return choices
}

/** How many layers compute in a finer scheme than one product. */
export function countFiner({ schemes }: LayerChoices): number {
  return Object.values(schemes).filter((scheme) => !ONE_PRODUCT.includes(scheme)).length
}

const ONE_PRODUCT: Scheme[] = ['int8-static', 'int8']

// A prompt is timed as if it had not been seen before.
const NO_CACHES = { embeddings: 0, promptKeys: 0 }

function load({ folder, threads }: AuditedModel, openWith: OpenGraph): Promise<Model> {
  return loadModel(folder, {
    threads,
    openWith,
    cacheBytes: NO_CACHES,
  })
}

async function draw(model: Model, prompts: string[], steps: number): Promise<Drawn> {
  const { unet, vae } = model.manifest
  const side = unet.sampleSize * vae.spatialFactor
  const conditioning = await encodePrompts(model, prompts)
  const seeds = prompts.map((_, i) => FIRST_SEED + i)
  const { latents, shape } = await sample(model, conditioning, { seeds, width: side, height: side, steps })
  const size = latents.length / prompts.length
  const pixels = await decode(model, latents, shape)
  return {
    latents: prompts.map((_, i) => latents.subarray(i * size, (i + 1) * size)),
    pictures: pixels.map((picture) => picture!.rgb),
  }
}

// Of a small model's pictures the quickest counts. Of a large one's, which take many seconds, those drawn anyway tell enough.
const TIMED_RUNS = 3
const LONG_MS = 5000

// Calibration prompts are few: a layer must hold more than they made it read.
const RANGE_MARGIN = 1.5

/**
 * Draws what is compared, and tells how long a picture of one step takes. The last picture of each batch gives no ranges: what
 * it says of an int8 plan holds for prompts that the plan was not made from.
 */
async function drawAll(
  model: Model,
  pool: GraphPool,
): Promise<{ oneStep: Drawn; fourSteps: Drawn; pictureMs: number }> {
  const draws = async (count: number, steps: number) => {
    pool.noteRanges({ images: count - 1, margin: RANGE_MARGIN })
    const drawn = await draw(model, PROMPTS.slice(0, count), steps)
    pool.noteRanges({ images: 0 })
    return drawn
  }
  pool.takeRunMs()
  const oneStep = await draws(PROMPTS.length, 1)
  const meanMs = pool.takeRunMs() / PROMPTS.length
  const fourSteps = await draws(FOUR_STEP_PROMPTS, 4)
  return { oneStep, fourSteps, pictureMs: meanMs < LONG_MS ? await timePicture(model, pool) : meanMs }
}

async function timePicture(model: Model, pool: GraphPool): Promise<number> {
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < TIMED_RUNS; i++) {
    pool.takeRunMs()
    await draw(model, PROMPTS.slice(0, 1), 1)
    best = Math.min(best, pool.takeRunMs())
  }
  return best
}

type Values = Float32Array | Uint8Array

function worst<T extends Values>(exact: T[], found: T[], measure: (a: T, b: T) => number): number {
  return Math.min(...exact.map((values, i) => measure(values, found[i]!)))
}

function signalToNoise(exact: Float32Array, found: Float32Array): number {
  return decibels(
    exact.reduce((sum, value) => sum + value ** 2, 0),
    squaredDistance(exact, found),
  )
}

function peakSignalToNoise(exact: Uint8Array, found: Uint8Array): number {
  return decibels(255 ** 2 * exact.length, squaredDistance(exact, found))
}

function squaredDistance(a: Values, b: Values): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2
  return sum
}

/** 0 where there is no telling, as when a NaN went in. */
function decibels(signal: number, noise: number): number {
  const value = 10 * Math.log10(signal / noise)
  return Number.isNaN(value) ? 0 : Math.min(value, MOST_DB)
}
