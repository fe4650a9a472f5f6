import type { SchedulerConfig } from './scheduler-config.ts'

/** Noise levels of one picture, from the first step to the last. */
export type Schedule = {
  /** Per step, what the model is told; whole numbers, except with linspace spacing and between steps. */
  timesteps: number[]
  /** One more than there are steps, falling to 0 (TCD's to the lowest trained level). */
  sigmas: number[]
  /** Standard deviation of the latents before the first step. */
  initNoiseSigma: number
}

/**
 * Computes timesteps and sigmas as diffusers' EulerDiscreteScheduler and EulerAncestralDiscreteScheduler do, rounding
 * to float32 where they do. With trailing spacing it is what Turbo and Lightning models want.
 * Spacings: Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed" (2023), table 2.
 * @throws when `steps` is not a whole number from 1 to the number of training timesteps
 */
export function buildSchedule(config: SchedulerConfig, steps: number): Schedule {
  checkSteps(steps, config.num_train_timesteps)
  const trainSigmas = computeTrainSigmas(config)
  const timesteps = spaceTimesteps(config, steps)
  const sigmas = [...timesteps.map((timestep) => interpolate(trainSigmas, timestep)), 0]
  const max = Math.max(...sigmas)
  const initNoiseSigma = config.timestep_spacing === 'leading' ? unitVarianceScale(max) : max
  return { timesteps, sigmas, initNoiseSigma }
}

/**
 * Computes timesteps and sigmas as diffusers' DPMSolverMultistepScheduler does. It spaces as if there were one step
 * more, of which timestep 0 is not drawn.
 * @throws as `buildSchedule` does
 */
export function buildMultistepSchedule(config: SchedulerConfig, steps: number): Schedule {
  checkSteps(steps, config.num_train_timesteps)
  const trainSigmas = computeTrainSigmas(config)
  const timesteps = spaceMultistepTimesteps(config, steps)
  const sigmas = [...timesteps.map((timestep) => interpolate(trainSigmas, timestep)), 0]
  return { timesteps, sigmas, initNoiseSigma: unitVarianceScale(sigmas[0]!) }
}

/**
 * Like `buildMultistepSchedule`, over Karras sigmas of all trained noise levels, with timesteps rounded as there.
 * @throws as `buildSchedule` does
 */
export function buildKarrasSchedule(config: SchedulerConfig, steps: number): Schedule {
  checkSteps(steps, config.num_train_timesteps)
  const trainSigmas = computeTrainSigmas(config)
  const sigmas = spaceKarrasSigmas(trainSigmas, steps)
  const timesteps = sigmas.map((sigma) => roundHalfToEven(findTimestep(trainSigmas, sigma)))
  const rounded = sigmas.map(Math.fround)
  return { timesteps, sigmas: [...rounded, 0], initNoiseSigma: unitVarianceScale(rounded[0]!) }
}

/** A schedule whose steps ask the model a second time, half way down on a logarithmic scale of sigma. */
export type MidpointSchedule = Schedule & {
  /** One for each step but the last. */
  midTimesteps: number[]
}

/**
 * Computes Karras sigmas and fractional timesteps as diffusers' DPMSolverSDEScheduler does with linspace spacing: from
 * the highest trained noise level to the lowest.
 * @throws as `buildSchedule` does
 */
export function buildMidpointSchedule(config: SchedulerConfig, steps: number): MidpointSchedule {
  checkSteps(steps, config.num_train_timesteps)
  const trainSigmas = computeTrainSigmas(config)
  const sigmas = spaceKarrasSigmas(trainSigmas, steps)
  const mids = sigmas.slice(1).map((next, step) => Math.sqrt(sigmas[step]! * next))
  const find = (sigma: number) => findTimestep(trainSigmas, sigma)
  const rounded = sigmas.map(Math.fround)
  return {
    timesteps: sigmas.map(find),
    midTimesteps: mids.map(find),
    sigmas: [...rounded, 0],
    initNoiseSigma: rounded[0]!,
  }
}

/**
 * Computes timesteps and sigmas as diffusers' LCMScheduler does: part of those the model was distilled on.
 * @throws when `steps` is not a whole number from 1 to the number of those
 */
export function buildConsistencySchedule(config: SchedulerConfig, steps: number): Schedule {
  const { num_train_timesteps: trained, original_inference_steps: distilled } = config
  checkSteps(steps, Math.min(distilled, trained))
  const trainSigmas = computeTrainSigmas(config)
  const stride = Math.floor(trained / distilled)
  const timesteps = Array.from(
    { length: steps },
    (_, i) => (distilled - Math.floor(i * (distilled / steps))) * stride - 1,
  )
  const sigmas = timesteps.map((timestep) => trainSigmas[timestep]!)
  return { timesteps, sigmas: [...sigmas, 0], initNoiseSigma: unitVarianceScale(sigmas[0]!) }
}

/** A schedule whose steps go down past the next level, and up to it again with fresh noise. */
export type StochasticSchedule = Schedule & {
  /** Per step, the level it goes down to. */
  downSigmas: number[]
}

// How far past the next timestep a step goes: the paper's gamma, with the value its authors and diffusers default to.
const TCD_GAMMA = 0.3

/**
 * Computes timesteps and sigmas as diffusers' TCDScheduler does with `eta` 0.3.
 * @throws as `buildConsistencySchedule` does
 */
export function buildTrajectorySchedule(config: SchedulerConfig, steps: number): StochasticSchedule {
  const { timesteps, sigmas, initNoiseSigma } = buildConsistencySchedule(config, steps)
  const trainSigmas = computeTrainSigmas(config)
  const kept = Math.fround(1 - TCD_GAMMA)
  const nextTimesteps = [...timesteps.slice(1), 0]
  const downSigmas = nextTimesteps.map((next) => trainSigmas[Math.floor(Math.fround(kept * next))]!)
  return { timesteps, sigmas: [...sigmas.slice(0, -1), trainSigmas[0]!], downSigmas, initNoiseSigma }
}

/** A schedule without its first steps, for latents that are further on already; all its lists begin with step 0. */
export function skipSteps<Levels extends Schedule>(schedule: Levels, skip: number): Levels {
  const later = Object.entries(schedule).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.slice(skip) : value,
  ])
  return Object.fromEntries(later)
}

function checkSteps(steps: number, most: number): void {
  if (!Number.isInteger(steps) || steps < 1 || steps > most)
    throw new RangeError(`steps is ${steps}; it must be a whole number from 1 to ${most}`)
}

/** Standard deviation of latents of unit variance before noise of `sigma`, as float32. */
const unitVarianceScale = (sigma: number) => Math.fround(Math.sqrt(sigma ** 2 + 1))

/** Sigma of each training timestep: the noise-to-signal ratio sqrt((1 - ᾱ) / ᾱ). */
function computeTrainSigmas(config: SchedulerConfig): Float32Array {
  let product = 1 // torch.cumprod keeps its running product in double and rounds each result
  return computeBetas(config).map((beta) => {
    product *= Math.fround(1 - beta)
    const alphaBar = Math.fround(product)
    return Math.sqrt(Math.fround(Math.fround(1 - alphaBar) / alphaBar))
  })
}

function computeBetas(config: SchedulerConfig): Float32Array {
  const { beta_start: start, beta_end: end, num_train_timesteps: count } = config
  if (config.beta_schedule === 'linear') return linspace(start, end, count)
  return linspace(Math.sqrt(start), Math.sqrt(end), count).map((root) => root ** 2)
}

/** `torch.linspace` in float32, which counts up from the start in the first half and down from the end in the other. */
function linspace(start: number, end: number, count: number): Float32Array {
  const [first, last] = [Math.fround(start), Math.fround(end)]
  const step = count > 1 ? Math.fround(Math.fround(last - first) / (count - 1)) : 0
  return Float32Array.from({ length: count }, (_, i) =>
    i < count / 2 ? first + step * i : last - step * (count - 1 - i),
  )
}

// Always `steps` of them; diffusers' trailing timesteps end in a surplus -1 where numpy's arange rounds up (61 of 1000).
function spaceTimesteps(config: SchedulerConfig, steps: number): number[] {
  const { num_train_timesteps: trained, steps_offset: offset, timestep_spacing: spacing } = config
  const indices = Array.from({ length: steps }, (_, i) => i)
  if (spacing === 'trailing') return indices.map((i) => roundHalfToEven(trained - i * (trained / steps)) - 1)
  if (spacing === 'leading') return indices.map((i) => (steps - 1 - i) * Math.floor(trained / steps) + offset)
  const gap = steps > 1 ? (trained - 1) / (steps - 1) : 0
  return indices.map((i) => Math.fround((steps - 1 - i) * gap))
}

function spaceMultistepTimesteps(config: SchedulerConfig, steps: number): number[] {
  const { num_train_timesteps: trained, steps_offset: offset, timestep_spacing: spacing } = config
  if (spacing === 'trailing') return spaceTimesteps(config, steps)
  const places = Array.from({ length: steps }, (_, i) => steps - i)
  if (spacing === 'leading') return places.map((place) => place * Math.floor(trained / (steps + 1)) + offset)
  return places.map((place) => roundHalfToEven(place * ((trained - 1) / steps)))
}

/**
 * Sigmas evenly spaced in their seventh root, from the highest trained one to the lowest.
 * Source: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), equation 5.
 */
function spaceKarrasSigmas(trainSigmas: Float32Array, steps: number): number[] {
  const RHO = 7
  const [low, high] = [trainSigmas[0]! ** (1 / RHO), trainSigmas.at(-1)! ** (1 / RHO)]
  const gap = steps > 1 ? 1 / (steps - 1) : 0
  return Array.from({ length: steps }, (_, i) => (high + i * gap * (low - high)) ** RHO)
}

/** The timestep, between trained ones, whose sigma this is; linear in the logarithm of sigma. */
function findTimestep(trainSigmas: Float32Array, sigma: number): number {
  const logs = trainSigmas.map(Math.log)
  const log = Math.log(sigma)
  const above = logs.findIndex((value) => value > log)
  const low = Math.min(Math.max((above < 0 ? logs.length : above) - 1, 0), logs.length - 2)
  const weight = (logs[low]! - log) / (logs[low]! - logs[low + 1]!)
  return low + Math.min(Math.max(weight, 0), 1)
}

// numpy's rounding, which Math.round is not: 62.5 becomes 62.
function roundHalfToEven(value: number): number {
  const floor = Math.floor(value)
  if (value - floor !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}

/** `numpy.interp` over whole positions: linear between neighbours, the last value beyond the end. */
function interpolate(values: Float32Array, position: number): number {
  const index = Math.min(Math.floor(position), values.length - 1)
  const [left, right] = [values[index]!, values[Math.min(index + 1, values.length - 1)]!]
  return Math.fround(left + (right - left) * (position - index))
}
