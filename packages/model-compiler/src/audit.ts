import { decode, encodePrompts, loadModel, type Model, type OpenGraph, sample } from '@sdcpu/diffusion'
import type { ReferenceProbes } from './compile.ts'
import { createGraphPool, type Energies, type GraphPool } from './graph-pool.ts'
import { INTEGER_SCHEMES, type Scheme } from './scheme.ts'

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

/** What the fp32 model draws, and what each of its layers would lose in each integer scheme. */
export type Reference = {
  oneStep: Drawn
  fourSteps: Drawn
  energies: Map<string, Energies>
  /** Milliseconds of a picture of one step. */
  pictureMs: number
}

/** Draws the calibration prompts with a compiled reference, once with probes. */
export async function measureReference(audited: AuditedModel, probed: ReferenceProbes): Promise<Reference> {
  const pool = createGraphPool({ maxBytes: MAX_OPEN_BYTES })
  try {
    const model = await load(audited, pool.openWith)
    // One prompt: what all layers of a graph read and make is held at once.
    pool.probe(probed)
    await draw(model, PROMPTS.slice(0, 1), 1)
    pool.stopProbing()
    return { ...(await drawAll(model, pool)), energies: pool.energies }
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

/**
 * Layers for which one product is less than `leastDb` from exact, each with the cheapest scheme that is not. A NaN or an
 * infinite energy, an overflow, counts as too far.
 */
export function chooseFiner(energies: Map<string, Energies>, leastDb: number): Record<string, Scheme> {
  const finer: Record<string, Scheme> = {}
  for (const [layer, [exact, ...errors]] of energies) {
    const place = errors.findIndex((error) => error === 0 || decibels(exact, error) >= leastDb)
    if (place !== 0) finer[layer] = INTEGER_SCHEMES[place] ?? 'fp32'
  }
  return finer
}

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

/** Draws what is compared, and tells how long a picture of one step takes. */
async function drawAll(
  model: Model,
  pool: GraphPool,
): Promise<{ oneStep: Drawn; fourSteps: Drawn; pictureMs: number }> {
  pool.takeRunMs()
  const oneStep = await draw(model, PROMPTS, 1)
  const meanMs = pool.takeRunMs() / PROMPTS.length
  const fourSteps = await draw(model, PROMPTS.slice(0, FOUR_STEP_PROMPTS), 4)
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
