import type { Schedule } from './schedule.ts'
import type { PredictionType } from './scheduler-config.ts'

/** Where in the schedule a model is asked. */
export type NoiseLevel = { step: number; timestep: number; sigma: number }

/** Predicts the clean latents x0 from `latents` at a noise level; a batch is one flat array. */
export type Denoise = (latents: Float32Array, level: NoiseLevel) => Promise<Float32Array>

/** Draws unit Gaussian noise for the whole batch, from each image's own generator. */
export type Noise = (step: number) => Float32Array

export type SampleOptions = {
  /** Called after each step with the number of steps done (1 to steps). */
  onStep?: (stepsDone: number) => void
  /** Called before each step; sampling ends with what it throws. */
  throwIfAborted?: () => void
}

/**
 * Splits the step from sigma `from` to `to` into a part the model leads and fresh noise: down² + up² = to².
 * Source: Crowson, k-diffusion, `get_ancestral_step`,
 * https://github.com/crowsonkb/k-diffusion/blob/4601bf0/k_diffusion/sampling.py
 */
export function ancestralStep(from: number, to: number): { down: number; up: number } {
  const up = (to * Math.sqrt(from ** 2 - to ** 2)) / from
  return { down: Math.sqrt(to ** 2 - up ** 2), up }
}

/**
 * Draws latents by Euler ancestral sampling: each step goes to a level below the next one and adds noise up to it.
 * `noise(step)` yields unit Gaussian noise for the whole batch; it is not asked for after the last step, whose
 * noise would be multiplied by 0. `latents` is left as it was.
 * Sources: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), algorithm 2
 * for the Euler step; Crowson, k-diffusion, `sample_euler_ancestral` (link above) for the split of the noise.
 */
export async function sampleEulerAncestral(
  denoise: Denoise,
  latents: Float32Array,
  { timesteps, sigmas }: Pick<Schedule, 'timesteps' | 'sigmas'>,
  noise: Noise,
  { onStep, throwIfAborted }: SampleOptions = {},
): Promise<Float32Array> {
  let x = latents
  for (const [step, timestep] of timesteps.entries()) {
    throwIfAborted?.()
    const sigma = sigmas[step]!
    const { down, up } = ancestralStep(sigma, sigmas[step + 1]!)
    const denoised = await denoise(x, { step, timestep, sigma })
    x = stepTowards(x, denoised, down / sigma)
    if (up > 0) x = addScaled(x, noise(step), up)
    onStep?.(step + 1)
  }
  return x
}

/** Scales latents to the unit variance models are trained on: x / sqrt(sigma² + 1). */
export function scaleModelInput(latents: Float32Array, sigma: number): Float32Array {
  const scale = Math.fround(Math.sqrt(sigma ** 2 + 1))
  return latents.map((value) => value / scale)
}

/**
 * Turns a model's output for `latents` into the clean latents it implies.
 * `v_prediction`: Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models" (2022).
 */
export function toDenoised(
  modelOutput: Float32Array,
  latents: Float32Array,
  sigma: number,
  predictionType: PredictionType,
): Float32Array {
  if (modelOutput.length !== latents.length) {
    throw new Error(
      `model output has ${modelOutput.length} values for ${latents.length} latents. This is a bug.`,
    )
  }
  if (predictionType === 'epsilon') return addScaled(latents, modelOutput, -sigma)
  const variance = sigma ** 2 + 1
  const outputScale = -sigma / Math.sqrt(variance)
  return latents.map((value, i) => value / variance + modelOutput[i]! * outputScale)
}

/**
 * Goes from one noise level to another along the line to the clean latents; `ratio` is the new sigma over the old.
 * x0 + (x - x0) * ratio is x + (x - x0) / sigma * (newSigma - sigma), and exactly x0 where the ratio is 0.
 */
export function stepTowards(x: Float32Array, denoised: Float32Array, ratio: number): Float32Array {
  return x.map((value, i) => denoised[i]! + (value - denoised[i]!) * ratio)
}

/** x + y · scale. */
export function addScaled(x: Float32Array, y: Float32Array, scale: number): Float32Array {
  return x.map((value, i) => value + y[i]! * scale)
}
