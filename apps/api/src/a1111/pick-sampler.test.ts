import { type Model, SAMPLER_NAMES } from '@sdcpu/contract'
import { expect, it } from 'vitest'
import { listSamplers, pickSampler, SCHEDULES } from './pick-sampler.ts'

const MODEL: Model = {
  ...{ name: 'demo', plan: 'fp32', family: 'turbo', nativeSize: 256, sizes: ['256x256'] },
  ...{ defaultSteps: 2, maxSteps: 8, defaultGuidance: 1, defaultSampler: 'euler_a' },
  ...{ timestepSpacing: 'trailing', isDefault: true, status: 'ready' },
}
const pick = (sampler?: string, scheduler?: string, own: Partial<Model> = {}) =>
  pickSampler({ sampler, scheduler }, { ...MODEL, ...own })

it.each([
  [undefined, undefined, { sampler: 'euler_a', schedule: 'Automatic' }],
  ['', 'normal', { sampler: 'euler_a', schedule: 'Automatic' }],
  [undefined, 'Uniform', { sampler: 'euler_a', timestepSpacing: 'linspace', schedule: 'Uniform' }],
  ['Euler a', 'Normal', { sampler: 'euler_a', schedule: 'Automatic' }],
  ['euler A', 'SGM Uniform', { sampler: 'euler_a', timestepSpacing: 'trailing', schedule: 'SGM Uniform' }],
  ['Euler', 'simple', { sampler: 'euler', timestepSpacing: 'trailing', schedule: 'Simple' }],
  ['k_euler', 'ddim', { sampler: 'euler', timestepSpacing: 'leading', schedule: 'DDIM' }],
  ['DDIM', 'normal', { sampler: 'euler', schedule: 'Automatic' }],
  ['DPM++ 2M', undefined, { sampler: 'dpmpp_2m_karras', schedule: 'Karras' }],
  ['DPM++ 2M', 'Normal', { sampler: 'dpmpp_2m', schedule: 'Automatic' }],
  ['DPM++ 2M Karras', undefined, { sampler: 'dpmpp_2m_karras', schedule: 'Karras' }],
  ['DPM++ 2M Karras', 'Automatic', { sampler: 'dpmpp_2m_karras', schedule: 'Karras' }],
  [
    'DPM++ 2M SGM Uniform',
    undefined,
    { sampler: 'dpmpp_2m', timestepSpacing: 'trailing', schedule: 'SGM Uniform' },
  ],
  ['DPM++ SDE', 'normal', { sampler: 'dpmpp_sde_karras', schedule: 'Karras' }],
  ['dpmpp_sde_karras', undefined, { sampler: 'dpmpp_sde_karras', schedule: 'Karras' }],
  ['LCM', 'Automatic', { sampler: 'lcm', schedule: 'Automatic' }],
  ['TCD', undefined, { sampler: 'tcd', schedule: 'Automatic' }],
])('draws %s with %s as %j', (sampler, scheduler, way) => {
  expect(pick(sampler, scheduler)).toMatchObject(way)
  expect(pick(sampler, scheduler).timestepSpacing).toBe((way as { timestepSpacing?: string }).timestepSpacing)
})

it.each(SAMPLER_NAMES)(
  'draws with %s where it is the model’s own and none is named, and calls it by a name it lists',
  (own) => {
    const { sampler, label } = pick(undefined, undefined, { defaultSampler: own })
    expect(sampler).toBe(own)
    expect(listSamplers({ ...MODEL, defaultSampler: own })[0]?.name).toBe(label)
  },
)

it('draws every sampler it lists, with what it lists for it', () => {
  for (const { name, aliases, options } of listSamplers(MODEL)) {
    const { schedule, label } = pick(name)
    expect([label, schedule.toLowerCase()]).toEqual([name, options.scheduler ?? 'automatic'])
    for (const alias of aliases) expect(pick(alias).label).toBe(name)
  }
  expect(Object.keys(SCHEDULES)[0]).toBe('automatic')
})
