import { describe, expect, it } from 'vitest'
import { SchedulerConfig } from './scheduler-config.ts'

const TURBO = {
  _class_name: 'EulerAncestralDiscreteScheduler',
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  beta_end: 0.012,
  timestep_spacing: 'trailing',
}

describe('SchedulerConfig', () => {
  it.each([
    ['_class_name', 'DDIMScheduler'],
    ['beta_schedule', 'squaredcos_cap_v2'],
    ['prediction_type', 'sample'],
    ['timestep_spacing', 'karras'],
    ['trained_betas', [0.1, 0.2]],
    ['rescale_betas_zero_snr', true],
  ])('refuses %s %j by name and value', (name, value) => {
    const { error } = SchedulerConfig.safeParse({ ...TURBO, [name]: value })
    expect(error?.issues.map((issue) => issue.message)).toEqual([
      expect.stringContaining(`${name} is ${JSON.stringify(value)}; supported: `),
    ])
  })

  it('ignores fields the sampler does not depend on', () => {
    const extra = { clip_sample: false, skip_prk_steps: true, interpolation_type: 'linear' }
    expect(SchedulerConfig.parse({ ...TURBO, ...extra })).toEqual(SchedulerConfig.parse(TURBO))
  })

  it.each([
    ['EulerDiscreteScheduler', 'use_karras_sigmas', true],
    ['EulerDiscreteScheduler', 'timestep_type', 'continuous'],
    ['DPMSolverMultistepScheduler', 'algorithm_type', 'sde-dpmsolver++'],
    ['DPMSolverMultistepScheduler', 'solver_order', 3],
    ['DPMSolverMultistepScheduler', 'final_sigmas_type', 'sigma_min'],
    ['DPMSolverMultistepScheduler', 'lambda_min_clipped', 1],
    ['LCMScheduler', 'timestep_scaling', 5],
    ['TCDScheduler', 'clip_sample', true],
  ])('refuses a %s with %s %j by name and value', (className, name, value) => {
    const { error } = SchedulerConfig.safeParse({ ...TURBO, _class_name: className, [name]: value })
    expect(error?.issues.map(({ path, message }) => [path, message])).toEqual([
      [[name], expect.stringContaining(`${name} is ${JSON.stringify(value)}; supported: `)],
    ])
  })

  it('takes each class’s own defaults', () => {
    const euler = SchedulerConfig.parse({ _class_name: 'EulerDiscreteScheduler' })
    expect(euler).toMatchObject({ beta_start: 0.0001, beta_end: 0.02, beta_schedule: 'linear' })
    const lcm = SchedulerConfig.parse({ _class_name: 'LCMScheduler' })
    expect(lcm).toMatchObject({ beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear' })
  })

  it('refuses what is no config at all', () => {
    expect(SchedulerConfig.safeParse(null).success).toBe(false)
    expect(SchedulerConfig.safeParse({}).error?.issues[0]?.message).toMatch(
      /^_class_name is missing; supported/,
    )
  })
})
