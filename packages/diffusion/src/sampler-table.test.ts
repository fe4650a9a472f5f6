import { describe, expect, it } from 'vitest'
import { defaultSampler, samplerLabel, samplerNamed } from './sampler-table.ts'
import { SchedulerConfig } from './scheduler-config.ts'

describe('samplerNamed', () => {
  it.each([
    ['euler_a', 'euler_a'],
    ['Euler a', 'euler_a'],
    ['EulerAncestralDiscreteScheduler', 'euler_a'],
    ['Euler', 'euler'],
    ['EulerDiscreteScheduler', 'euler'],
    ['DPM++ 2M', 'dpmpp_2m'],
    ['dpm++ 2m karras', 'dpmpp_2m_karras'],
    ['DPMSolverMultistepScheduler', 'dpmpp_2m'],
    ['DPM++ SDE Karras', 'dpmpp_sde_karras'],
    ['LCMScheduler', 'lcm'],
    ['TCD', 'tcd'],
  ])('knows %s as %s', (text, name) => {
    expect(samplerNamed(text)).toBe(name)
  })

  it('knows no other', () => {
    expect(samplerNamed('UniPC')).toBeUndefined()
    expect(samplerNamed('constructor')).toBeUndefined()
  })
})

it('writes the label A1111 reads back', () => {
  expect(samplerLabel('dpmpp_2m_karras')).toBe('DPM++ 2M Karras')
})

it.each([
  [{ _class_name: 'EulerDiscreteScheduler' }, 'euler'],
  [{ _class_name: 'EulerAncestralDiscreteScheduler', use_karras_sigmas: true }, 'euler_a'],
  [{ _class_name: 'DPMSolverMultistepScheduler', use_karras_sigmas: null }, 'dpmpp_2m'],
  [{ _class_name: 'DPMSolverMultistepScheduler', use_karras_sigmas: true }, 'dpmpp_2m_karras'],
  [{ _class_name: 'LCMScheduler' }, 'lcm'],
  [{ _class_name: 'TCDScheduler' }, 'tcd'],
])('draws a model of %j by default with %s', (config, name) => {
  const parsed = SchedulerConfig.parse(config)
  expect(defaultSampler(parsed)).toBe(name)
  // The manifest holds the parsed config and parses it again.
  expect(SchedulerConfig.parse(parsed)).toEqual(parsed)
})
