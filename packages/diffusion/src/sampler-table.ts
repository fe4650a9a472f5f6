import { type Denoise, type Noise, type SampleOptions, sampleEulerAncestral } from './sampler.ts'
import { sampleDpmpp2M, sampleDpmppSde, sampleEuler, sampleLcm, sampleTcd } from './samplers.ts'
import {
  buildConsistencySchedule,
  buildKarrasSchedule,
  buildMidpointSchedule,
  buildMultistepSchedule,
  buildSchedule,
  buildTrajectorySchedule,
  type Schedule,
  skipSteps,
} from './schedule.ts'
import type { SchedulerConfig, TimestepSpacing } from './scheduler-config.ts'

/** A sampler together with its noise levels, ready to draw. */
type Plan = {
  initNoiseSigma: number
  /** Noise level of the first step: what a picture to begin with is mixed with. */
  firstSigma: number
  draw: (
    denoise: Denoise,
    latents: Float32Array,
    noise: Noise,
    options?: SampleOptions,
  ) => Promise<Float32Array>
}

type Build<Levels> = (config: SchedulerConfig, steps: number) => Levels
type Draw<Levels> = (
  denoise: Denoise,
  latents: Float32Array,
  schedule: Levels,
  noise: Noise,
  options?: SampleOptions,
) => Promise<Float32Array>

/** Pairs a sampler with the schedule it draws by; both take betas and prediction type from the model's config. */
function pair<Levels extends Schedule>(build: Build<Levels>, draw: Draw<Levels>) {
  return (config: SchedulerConfig, steps: number, skip: number): Plan => {
    const schedule = skipSteps(build(config, steps), skip)
    return {
      initNoiseSigma: schedule.initNoiseSigma,
      firstSigma: schedule.sigmas[0]!,
      draw: (denoise, latents, noise, options) => draw(denoise, latents, schedule, noise, options),
    }
  }
}

/**
 * Every sampler: the label AUTOMATIC1111 writes into pictures, which is an alias too, and other spellings of it.
 * Where diffusers' class alone leaves open which one is meant, its options stand behind it, as in its documentation.
 * `spaced` ones read the timestep spacing; the others' noise levels come from Karras sigmas or from distillation.
 */
const SAMPLERS = {
  euler_a: {
    label: 'Euler a',
    aliases: ['EulerAncestralDiscreteScheduler', 'k_euler_a', 'euler_ancestral', 'k_euler_ancestral'],
    spaced: true,
    prepare: pair(buildSchedule, sampleEulerAncestral),
  },
  euler: {
    label: 'Euler',
    aliases: ['EulerDiscreteScheduler', 'k_euler'],
    spaced: true,
    prepare: pair(buildSchedule, sampleEuler),
  },
  dpmpp_2m: {
    label: 'DPM++ 2M',
    aliases: ['DPMSolverMultistepScheduler', 'k_dpmpp_2m'],
    spaced: true,
    prepare: pair(buildMultistepSchedule, sampleDpmpp2M),
  },
  dpmpp_2m_karras: {
    label: 'DPM++ 2M Karras',
    aliases: ['DPMSolverMultistepScheduler use_karras_sigmas=True', 'k_dpmpp_2m_ka'],
    spaced: false,
    prepare: pair(buildKarrasSchedule, sampleDpmpp2M),
  },
  dpmpp_sde_karras: {
    label: 'DPM++ SDE Karras',
    aliases: ['DPMSolverSDEScheduler use_karras_sigmas=True', 'k_dpmpp_sde_ka'],
    spaced: false,
    prepare: pair(buildMidpointSchedule, sampleDpmppSde),
  },
  lcm: {
    label: 'LCM',
    aliases: ['LCMScheduler', 'k_lcm'],
    spaced: false,
    prepare: pair(buildConsistencySchedule, sampleLcm),
  },
  tcd: {
    label: 'TCD',
    aliases: ['TCDScheduler'],
    spaced: false,
    prepare: pair(buildTrajectorySchedule, sampleTcd),
  },
}

export type SamplerName = keyof typeof SAMPLERS
export const SAMPLER_NAMES = Object.keys(SAMPLERS) as SamplerName[]

/** The sampler of that name, label or alias, in upper or lower case; undefined where there is none. */
export function samplerNamed(text: string): SamplerName | undefined {
  const wanted = text.toLowerCase()
  return SAMPLER_NAMES.find((name) =>
    [name, SAMPLERS[name].label, ...SAMPLERS[name].aliases].some((known) => known.toLowerCase() === wanted),
  )
}

/** The sampler a model's own scheduler config names. */
export function defaultSampler({ _class_name, use_karras_sigmas }: SchedulerConfig): SamplerName {
  // Other classes' configs may carry the field along; only this class reads it.
  const isKarras = _class_name === 'DPMSolverMultistepScheduler' && use_karras_sigmas
  const name = isKarras ? 'dpmpp_2m_karras' : samplerNamed(_class_name)
  if (!name) throw new Error(`no sampler draws for ${_class_name}. This is a bug.`)
  return name
}

/** Other spellings `samplerNamed` knows a sampler by, the one AUTOMATIC1111 writes first. */
export const samplerAliases = (name: SamplerName): string[] => [
  SAMPLERS[name].label,
  ...SAMPLERS[name].aliases,
]

/** Whether a sampler's noise levels depend on the timestep spacing. */
export const readsSpacing = (name: SamplerName): boolean => SAMPLERS[name].spaced

const SCHEDULE_LABELS = {
  linspace: 'Uniform',
  leading: 'DDIM',
  trailing: 'SGM Uniform',
} as const satisfies Record<TimestepSpacing, string>

/** What AUTOMATIC1111 calls a timestep spacing in a picture's parameters. */
export const scheduleLabel = (spacing: TimestepSpacing): string => SCHEDULE_LABELS[spacing]

/** What AUTOMATIC1111 calls a sampler in a picture's parameters. */
export const samplerLabel = (name: SamplerName): string => SAMPLERS[name].label

/**
 * Prepares a sampler for a number of steps of a model with this config, of which it leaves out the first `skip`.
 * @throws RangeError when the sampler has no noise levels for that number of steps
 */
export function prepareSampler(name: SamplerName, config: SchedulerConfig, steps: number, skip = 0): Plan {
  return SAMPLERS[name].prepare(config, steps, skip)
}
