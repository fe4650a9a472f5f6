import * as z from 'zod'

type Unsupported = Record<string, readonly unknown[]>

const NO_OTHER_SIGMAS: Unsupported = { use_exponential_sigmas: [false], use_beta_sigmas: [false] }
const UNCLIPPED: Unsupported = { clip_sample: [false], thresholding: [false] }
const LATENT_BETAS = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear' }

/**
 * The schedulers of diffusers that we draw as diffusers does: the values of their own fields that we compute (absent
 * means diffusers' default, the first value), and their defaults where they differ from those below.
 */
const CLASSES: Record<string, { supported: Unsupported; defaults?: Record<string, unknown> }> = {
  EulerAncestralDiscreteScheduler: { supported: {} },
  EulerDiscreteScheduler: {
    supported: {
      ...NO_OTHER_SIGMAS,
      use_karras_sigmas: [false],
      interpolation_type: ['linear'],
      timestep_type: ['discrete'],
      final_sigmas_type: ['zero'],
      sigma_min: [null],
      sigma_max: [null],
    },
  },
  DPMSolverMultistepScheduler: {
    supported: {
      ...NO_OTHER_SIGMAS,
      algorithm_type: ['dpmsolver++'],
      solver_order: [2],
      solver_type: ['midpoint'],
      final_sigmas_type: ['zero'],
      thresholding: [false],
      use_lu_lambdas: [false],
      use_flow_sigmas: [false],
      use_dynamic_shifting: [false],
      variance_type: [null],
      // Both lie below every lambda of our beta schedules and clip nothing.
      lambda_min_clipped: [null, Number.NEGATIVE_INFINITY, -5.1],
    },
  },
  LCMScheduler: { supported: { ...UNCLIPPED, timestep_scaling: [10] }, defaults: LATENT_BETAS },
  TCDScheduler: { supported: UNCLIPPED, defaults: LATENT_BETAS },
}

/** How timesteps are spread over those the model was trained on. */
export const TIMESTEP_SPACINGS = ['linspace', 'leading', 'trailing'] as const
export type TimestepSpacing = (typeof TIMESTEP_SPACINGS)[number]

const Fields = z.object({
  _class_name: oneOf(Object.keys(CLASSES), '_class_name'),
  num_train_timesteps: z.int().min(1).default(1000),
  beta_start: z.number().positive().default(0.0001),
  beta_end: z.number().positive().lt(1).default(0.02),
  beta_schedule: oneOf(['linear', 'scaled_linear'], 'beta_schedule').default('linear'),
  prediction_type: oneOf(['epsilon', 'v_prediction'], 'prediction_type').default('epsilon'),
  timestep_spacing: oneOf([...TIMESTEP_SPACINGS], 'timestep_spacing').default('linspace'),
  steps_offset: z.int().min(0).default(0),
  trained_betas: oneOf([null], 'trained_betas').default(null),
  rescale_betas_zero_snr: oneOf([false], 'rescale_betas_zero_snr').default(false),
  /** Sigmas of Karras et al. (2022) rather than those of evenly spaced timesteps. */
  use_karras_sigmas: z.boolean().nullish().transform(Boolean),
  /** Timesteps an LCM or TCD model was distilled on, of which each schedule is a part. */
  original_inference_steps: z.int().min(1).default(50),
})

/**
 * The fields of a diffusers `scheduler_config.json` that sampling depends on, with diffusers' defaults.
 * Other fields are ignored; values that would draw another picture than diffusers does are refused by name and value.
 */
export const SchedulerConfig = z.unknown().superRefine(refuseUnsupported).transform(addDefaults).pipe(Fields)
export type SchedulerConfig = z.infer<typeof SchedulerConfig>

/** What a model's output means: the noise in the sample, or Salimans and Ho's velocity. */
export type PredictionType = SchedulerConfig['prediction_type']

type Raw = Record<string, unknown>
const findClass = (raw: unknown) => CLASSES[String((raw as Raw | null)?._class_name)]

function refuseUnsupported(raw: unknown, context: z.RefinementCtx): void {
  for (const [name, supported] of Object.entries(findClass(raw)?.supported ?? {})) {
    const value = (raw as Raw)[name]
    if (value !== undefined && !supported.includes(value))
      context.addIssue({ code: 'custom', path: [name], message: describeFault(name, value, supported) })
  }
}

function addDefaults(raw: unknown): unknown {
  const defaults = findClass(raw)?.defaults
  return defaults ? { ...defaults, ...(raw as Raw) } : raw
}

/** A zod schema for the values we compute correctly; its message names the field, the value found and the choices. */
function oneOf<const Value extends string | boolean | null>(supported: Value[], name: string) {
  return z.literal(supported, { error: (issue) => describeFault(name, issue.input, supported) })
}

function describeFault(name: string, found: unknown, supported: readonly unknown[]): string {
  const write = (value: unknown) => (typeof value === 'number' ? String(value) : JSON.stringify(value))
  return `${name} is ${found === undefined ? 'missing' : write(found)}; supported: ${supported.map(write).join(', ')}`
}
