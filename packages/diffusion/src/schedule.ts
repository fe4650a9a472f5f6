import * as z from 'zod'

const SAMPLER_CLASS = 'EulerAncestralDiscreteScheduler'

/**
 * The fields of a diffusers `scheduler_config.json` that Euler ancestral sampling depends on, with diffusers' defaults.
 * Other fields are ignored; values that would draw another picture than diffusers does are refused by name and value.
 */
export const SchedulerConfig = z.object({
  _class_name: oneOf([SAMPLER_CLASS], '_class_name'),
  num_train_timesteps: z.int().min(1).default(1000),
  beta_start: z.number().positive().default(0.0001),
  beta_end: z.number().positive().lt(1).default(0.02),
  beta_schedule: oneOf(['linear', 'scaled_linear'], 'beta_schedule').default('linear'),
  prediction_type: oneOf(['epsilon', 'v_prediction'], 'prediction_type').default('epsilon'),
  timestep_spacing: oneOf(['linspace', 'leading', 'trailing'], 'timestep_spacing').default('linspace'),
  steps_offset: z.int().min(0).default(0),
  trained_betas: oneOf([null], 'trained_betas').default(null),
  rescale_betas_zero_snr: oneOf([false], 'rescale_betas_zero_snr').default(false),
})
export type SchedulerConfig = z.infer<typeof SchedulerConfig>

/** What a model's output means: the noise in the sample, or Salimans and Ho's velocity. */
export type PredictionType = SchedulerConfig['prediction_type']

/** Noise levels of one picture, from the first step to the last. */
export type Schedule = {
  /** Per step, what the model is told; whole numbers, except with linspace spacing. */
  timesteps: number[]
  /** One more than there are steps, falling to 0. */
  sigmas: number[]
  /** Standard deviation of the latents before the first step. */
  initNoiseSigma: number
}

/**
 * Computes timesteps and sigmas as diffusers' EulerAncestralDiscreteScheduler does, rounding to float32 where it does.
 * Spacings: Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed" (2023), table 2.
 * @throws when `steps` is not a whole number from 1 to the number of training timesteps
 */
export function buildSchedule(config: SchedulerConfig, steps: number): Schedule {
  if (!Number.isInteger(steps) || steps < 1 || steps > config.num_train_timesteps) {
    throw new RangeError(
      `steps is ${steps}; it must be a whole number from 1 to ${config.num_train_timesteps}`,
    )
  }
  const trainSigmas = computeTrainSigmas(config)
  const timesteps = spaceTimesteps(config, steps)
  const sigmas = [...timesteps.map((timestep) => interpolate(trainSigmas, timestep)), 0]
  const max = Math.max(...sigmas)
  const initNoiseSigma = config.timestep_spacing === 'leading' ? Math.fround(Math.sqrt(max ** 2 + 1)) : max
  return { timesteps, sigmas, initNoiseSigma }
}

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

/** A zod schema for the values we compute correctly; its message names the field, the value found and the choices. */
function oneOf<const Value extends string | boolean | null>(supported: Value[], name: string) {
  const choices = supported.map((value) => JSON.stringify(value)).join(', ')
  const describe = (found: unknown) => (found === undefined ? 'missing' : JSON.stringify(found))
  return z.literal(supported, {
    error: (issue) => `${name} is ${describe(issue.input)}; supported: ${choices}`,
  })
}
