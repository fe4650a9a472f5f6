import { describe, expect, it } from 'vitest'
import golden from './fixtures/schedule.golden.json' with { type: 'json' }
import { buildSchedule } from './schedule.ts'
import { SchedulerConfig } from './scheduler-config.ts'

const TURBO = {
  _class_name: 'EulerAncestralDiscreteScheduler',
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  beta_end: 0.012,
  timestep_spacing: 'trailing',
}

describe('buildSchedule', () => {
  it.each(golden.cases)(
    'gives diffusers’ numbers for $steps steps of $config',
    ({ config, steps, timesteps, sigmas, initNoiseSigma }) => {
      const schedule = buildSchedule(SchedulerConfig.parse(config), steps)
      expect(schedule.timesteps).toEqual(timesteps)
      expectRelative(schedule.sigmas, sigmas)
      expectRelative([schedule.initNoiseSigma], [initNoiseSigma])
    },
  )

  it('keeps trailing timesteps whole and distinct for every number of steps', () => {
    for (let steps = 1; steps <= 1000; steps++) {
      const { timesteps, sigmas } = buildSchedule(SchedulerConfig.parse(TURBO), steps)
      expect(new Set(timesteps).size).toBe(steps)
      expect(timesteps.every((timestep) => Number.isInteger(timestep) && timestep >= 0)).toBe(true)
      expect(sigmas.every((sigma, i) => i === 0 || sigma < sigmas[i - 1]!)).toBe(true)
    }
  })

  it('refuses a number of steps it has no timesteps for, naming it', () => {
    const config = SchedulerConfig.parse(TURBO)
    expect(() => buildSchedule(config, 0)).toThrow('steps is 0; it must be a whole number from 1 to 1000')
    expect(() => buildSchedule(config, 2.5)).toThrow('steps is 2.5')
    expect(() => buildSchedule(config, 1001)).toThrow('steps is 1001')
  })
})

function expectRelative(actual: number[], expected: number[]): void {
  expect(actual.length).toBe(expected.length)
  for (const [i, value] of expected.entries()) {
    expect(Math.abs(actual[i]! - value)).toBeLessThanOrEqual(1e-6 * value)
  }
}
