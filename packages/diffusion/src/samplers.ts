import {
  addScaled,
  ancestralStep,
  type Denoise,
  type Noise,
  type SampleOptions,
  scaleModelInput,
  stepTowards,
} from './sampler.ts'
import type { MidpointSchedule, Schedule, StochasticSchedule } from './schedule.ts'

type Step = {
  step: number
  timestep: number
  sigma: number
  /** Sigma the step ends at. */
  next: number
}

/** Takes latents through all steps of a schedule, with progress and abortion between them. */
async function takeSteps(
  latents: Float32Array,
  { timesteps, sigmas }: Schedule,
  { onStep, throwIfAborted }: SampleOptions,
  take: (x: Float32Array, step: Step) => Promise<Float32Array>,
): Promise<Float32Array> {
  let x = latents
  for (const [step, timestep] of timesteps.entries()) {
    throwIfAborted?.()
    x = await take(x, { step, timestep, sigma: sigmas[step]!, next: sigmas[step + 1]! })
    onStep?.(step + 1)
  }
  return x
}

/**
 * Draws latents by Euler's method; no noise but the first. With trailing timesteps it is what Lightning models want.
 * Sources: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), algorithm 2
 * without churn; Crowson, k-diffusion, `sample_euler`,
 * https://github.com/crowsonkb/k-diffusion/blob/4601bf0/k_diffusion/sampling.py
 */
export function sampleEuler(
  denoise: Denoise,
  latents: Float32Array,
  schedule: Schedule,
  _noise: Noise,
  options: SampleOptions = {},
): Promise<Float32Array> {
  return takeSteps(latents, schedule, options, async (x, level) =>
    stepTowards(x, await denoise(x, level), level.next / level.sigma),
  )
}

/**
 * Draws latents by the second-order multistep DPM-Solver++, whose steps lead the last two answers on; the first and the
 * last are of first order. No noise but the first.
 * Sources: Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models" (2022),
 * algorithm 2; Crowson, k-diffusion, `sample_dpmpp_2m` (link above), in terms of lambda = -log sigma.
 */
export function sampleDpmpp2M(
  denoise: Denoise,
  latents: Float32Array,
  schedule: Schedule,
  _noise: Noise,
  options: SampleOptions = {},
): Promise<Float32Array> {
  let earlier: { denoised: Float32Array; sigma: number } | undefined
  return takeSteps(latents, schedule, options, async (x, level) => {
    const { sigma, next } = level
    const denoised = await denoise(x, level)
    let target = denoised
    if (earlier && next > 0) {
      const { denoised: before, sigma: sigmaBefore } = earlier
      const lead = Math.log(sigma / next) / (2 * Math.log(sigmaBefore / sigma))
      target = denoised.map((value, i) => value + (value - before[i]!) * lead)
    }
    earlier = { denoised, sigma }
    return stepTowards(x, target, next / sigma)
  })
}

/**
 * Draws latents by the stochastic DPM-Solver++ of k-diffusion, which asks the model twice a step: at its start, and half
 * way down. Both halves' noise is of one Brownian motion over sigma, as k-diffusion's is; a step draws the part above
 * the middle, then the part below it, and the whole step's noise is their sum.
 * Source: Crowson, k-diffusion, `sample_dpmpp_sde` with eta 1 and r 1/2 (link above).
 */
export function sampleDpmppSde(
  denoise: Denoise,
  latents: Float32Array,
  schedule: MidpointSchedule,
  noise: Noise,
  options: SampleOptions = {},
): Promise<Float32Array> {
  return takeSteps(latents, schedule, options, async (x, level) => {
    const { step, sigma, next } = level
    const denoised = await denoise(x, level)
    if (next === 0) return denoised
    const middle = Math.sqrt(sigma * next)
    const half = ancestralStep(sigma, middle)
    const upper = noise(step)
    const between = addScaled(stepTowards(x, denoised, half.down / sigma), upper, half.up)
    const timestep = schedule.midTimesteps[step]!
    const denoisedBetween = await denoise(between, { step, timestep, sigma: middle })
    const whole = ancestralStep(sigma, next)
    const lower = noise(step)
    const share = { upper: (sigma - middle) / (sigma - next), lower: (middle - next) / (sigma - next) }
    const down = stepTowards(x, denoisedBetween, whole.down / sigma)
    return addScaled(
      addScaled(down, upper, whole.up * Math.sqrt(share.upper)),
      lower,
      whole.up * Math.sqrt(share.lower),
    )
  })
}

/**
 * Draws latents by multistep consistency sampling: each step takes the model's clean latents and adds the noise of the
 * next level. The boundary condition's weights, nearly 0 and 1, keep a little of the noisy latents at low timesteps.
 * Sources: Luo et al., "Latent Consistency Models: Synthesizing High-Resolution Images with Few-Step Inference" (2023),
 * algorithm 3 and equation 9; diffusers' `LCMScheduler.step`,
 * https://github.com/huggingface/diffusers/blob/24172e87bb0f0a5b81be456abc4fdaa20d2dd275/src/diffusers/schedulers/scheduling_lcm.py
 */
export function sampleLcm(
  denoise: Denoise,
  latents: Float32Array,
  schedule: Schedule,
  noise: Noise,
  options: SampleOptions = {},
): Promise<Float32Array> {
  return takeSteps(latents, schedule, options, async (x, level) => {
    const denoised = await denoise(x, level)
    const { skip, out } = boundaryWeights(level.timestep)
    const clean = addScaled(
      denoised.map((value) => value * out),
      scaleModelInput(x, level.sigma),
      skip,
    )
    return level.next > 0 ? addScaled(clean, noise(level.step), level.next) : clean
  })
}

/** What a consistency model's answer keeps of its input, and takes of the network: only the input at timestep 0. */
export function boundaryWeights(timestep: number): { skip: number; out: number } {
  const SIGMA_DATA = 0.5
  const TIMESTEP_SCALING = 10
  const scaled = timestep * TIMESTEP_SCALING
  const variance = scaled ** 2 + SIGMA_DATA ** 2
  return { skip: SIGMA_DATA ** 2 / variance, out: scaled / Math.sqrt(variance) }
}

/**
 * Draws latents by strategic stochastic sampling: each step follows the model's trajectory down past the next level and
 * adds noise up to it. The last step ends at the lowest trained level, as diffusers' does.
 * Sources: Zheng et al., "Trajectory Consistency Distillation" (2024), algorithm 4; diffusers' `TCDScheduler.step`,
 * https://github.com/huggingface/diffusers/blob/d932f670ea6ea614f1692fbb52e0c79930145397/src/diffusers/schedulers/scheduling_tcd.py
 */
export async function sampleTcd(
  denoise: Denoise,
  latents: Float32Array,
  schedule: StochasticSchedule,
  noise: Noise,
  options: SampleOptions = {},
): Promise<Float32Array> {
  const last = await takeSteps(latents, schedule, options, async (x, level) => {
    const down = schedule.downSigmas[level.step]!
    const stepped = stepTowards(x, await denoise(x, level), down / level.sigma)
    const up = Math.sqrt(level.next ** 2 - down ** 2)
    return up > 0 ? addScaled(stepped, noise(level.step), up) : stepped
  })
  return scaleModelInput(last, schedule.sigmas.at(-1)!)
}
