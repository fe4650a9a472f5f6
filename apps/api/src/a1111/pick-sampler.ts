import { type Model, type SamplerName, samplerNamed, type TIMESTEP_SPACINGS } from '@sdcpu/contract'
import { ApiError } from '../api-error.ts'

type Spacing = (typeof TIMESTEP_SPACINGS)[number]

/** How one of AUTOMATIC1111's samplers and schedules is drawn here. */
export type Way = {
  sampler: SamplerName
  /** The model's own when absent. */
  timestepSpacing?: Spacing
  /** AUTOMATIC1111's name of the noise levels that are drawn with. */
  schedule: string
}

/**
 * The schedules there are, by AUTOMATIC1111's names. `Normal` is the model's own noise levels as `Automatic` is: SillyTavern sends it
 * unasked, and models distilled for few steps are drawn badly with any others.
 */
export const SCHEDULES = {
  automatic: { label: 'Automatic', aliases: [] },
  normal: { label: 'Normal', aliases: [] },
  karras: { label: 'Karras', aliases: [] },
  uniform: { label: 'Uniform', aliases: [] },
  sgm_uniform: { label: 'SGM Uniform', aliases: ['SGMUniform'] },
  simple: { label: 'Simple', aliases: [] },
  ddim: { label: 'DDIM', aliases: [] },
} as const satisfies Record<string, { label: string; aliases: readonly string[] }>
type ScheduleName = keyof typeof SCHEDULES
const SCHEDULE_NAMES = Object.keys(SCHEDULES) as ScheduleName[]

type Ways = Partial<Record<ScheduleName, Way>>

// Which timesteps each takes: modules/sd_schedulers.py of AUTOMATIC1111.
const spaced = (sampler: SamplerName): Ways => ({
  normal: { sampler, schedule: 'Automatic' },
  uniform: { sampler, timestepSpacing: 'linspace', schedule: 'Uniform' },
  sgm_uniform: { sampler, timestepSpacing: 'trailing', schedule: 'SGM Uniform' },
  simple: { sampler, timestepSpacing: 'trailing', schedule: 'Simple' },
  ddim: { sampler, timestepSpacing: 'leading', schedule: 'DDIM' },
})
const alone = (sampler: SamplerName): Ways => ({
  automatic: { sampler, schedule: 'Automatic' },
  normal: { sampler, schedule: 'Automatic' },
})
const karras = (sampler: SamplerName): Ways => ({
  automatic: { sampler, schedule: 'Karras' },
  normal: { sampler, schedule: 'Karras' },
  karras: { sampler, schedule: 'Karras' },
})

/** The samplers there are, by AUTOMATIC1111's names; `Automatic` is what each is drawn with there. */
const SAMPLERS: Record<string, { aliases: string[]; ways: Ways }> = {
  'Euler a': { aliases: ['k_euler_a'], ways: { ...alone('euler_a'), ...spaced('euler_a') } },
  // Without fresh noise DDIM is Euler's method on these noise levels; SillyTavern sends it unasked.
  Euler: { aliases: ['k_euler', 'DDIM'], ways: { ...alone('euler'), ...spaced('euler') } },
  'DPM++ 2M': {
    aliases: ['k_dpmpp_2m'],
    ways: { ...karras('dpmpp_2m_karras'), ...spaced('dpmpp_2m') },
  },
  'DPM++ SDE': { aliases: ['k_dpmpp_sde'], ways: karras('dpmpp_sde_karras') },
  LCM: { aliases: ['k_lcm'], ways: alone('lcm') },
  TCD: { aliases: [], ways: alone('tcd') },
}
const LABELS = Object.keys(SAMPLERS)

/** The samplers as AUTOMATIC1111 lists them, the model's own first: clients choose the first where theirs is not there. */
export function listSamplers(model: Model | undefined) {
  const own = model && labelOf(model.defaultSampler)
  const labels = own ? [own, ...LABELS.filter((label) => label !== own)] : LABELS
  return labels.map((name) => {
    const { aliases, ways } = SAMPLERS[name]!
    const options: Record<string, string> =
      ways.automatic?.schedule === 'Karras' ? { scheduler: 'karras' } : {}
    return { name, aliases, options }
  })
}

/**
 * Finds what draws as a client asks; without a sampler the model's own.
 * @throws `invalid_request` with the names there are
 */
export function pickSampler(
  { sampler, scheduler }: { sampler?: string | undefined; scheduler?: string | undefined },
  model: Model,
): Way & { label: string } {
  const asked = sampler ? readSampler(sampler) : undefined
  const label = asked?.label ?? labelOf(model.defaultSampler)
  // Older clients name both at once, and a list of schedules beside it says no more than its default.
  const named = scheduler ? readSchedule(scheduler) : undefined
  const schedule = asked?.schedule ?? named
  if (!asked && (!schedule || schedule === 'automatic' || schedule === 'normal'))
    return { label, sampler: model.defaultSampler, schedule: ownSchedule(model.defaultSampler) }
  const { ways } = SAMPLERS[label]!
  const way = ways[schedule ?? 'automatic']
  if (way) return { label, ...way }
  const there = SCHEDULE_NAMES.filter((name) => ways[name]).map((name) => SCHEDULES[name].label)
  throw new ApiError(
    'invalid_request',
    `the sampler ${label} has no schedule ${SCHEDULES[schedule!].label}; it has ${there.join(', ')}`,
  )
}

function readSampler(text: string): { label: string; schedule?: ScheduleName } {
  const wanted = text.trim().toLowerCase()
  const isOne = (label: string) =>
    [label, ...SAMPLERS[label]!.aliases].some((known) => known.toLowerCase() === wanted)
  const label = LABELS.find(isOne)
  if (label) return { label }
  const isBoth = (label: string, schedule: ScheduleName) =>
    wanted === `${label} ${SCHEDULES[schedule].label}`.toLowerCase()
  for (const name of LABELS)
    for (const schedule of SCHEDULE_NAMES) if (isBoth(name, schedule)) return { label: name, schedule }
  const own = samplerNamed(wanted)
  if (own) return { label: labelOf(own), ...(own.endsWith('_karras') && { schedule: 'karras' }) }
  throw new ApiError(
    'invalid_request',
    `there is no sampler "${text.slice(0, 40)}"; there are ${LABELS.join(', ')}`,
  )
}

function readSchedule(text: string): ScheduleName {
  const wanted = text.trim().toLowerCase()
  const found = SCHEDULE_NAMES.find((name) =>
    [name, SCHEDULES[name].label, ...SCHEDULES[name].aliases].some((known) => known.toLowerCase() === wanted),
  )
  if (found) return found
  const labels = SCHEDULE_NAMES.map((name) => SCHEDULES[name].label)
  throw new ApiError(
    'invalid_request',
    `there is no scheduler "${text.slice(0, 40)}"; there are ${labels.join(', ')}`,
  )
}

function labelOf(sampler: SamplerName): string {
  const found = LABELS.find((label) =>
    Object.values(SAMPLERS[label]!.ways).some((way) => way.sampler === sampler),
  )
  if (!found) throw new Error(`AUTOMATIC1111 has no name for ${sampler}. This is a bug.`)
  return found
}

const ownSchedule = (sampler: SamplerName): string => (sampler.endsWith('_karras') ? 'Karras' : 'Automatic')
