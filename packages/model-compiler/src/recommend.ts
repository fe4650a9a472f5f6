import { defaultSampler, type Recommended, type SamplerName, type SchedulerConfig } from '@sdcpu/diffusion'
import type { ModelCard } from './model-card.ts'

type Family = {
  steps: number
  maxSteps: number
  guidance: number
  sampler: SamplerName
  /** Whether it was distilled for timesteps counted from the end. */
  trailing: boolean
  /** Pixels a side, where the source does not tell. */
  side: number
}

/**
 * How the kinds of SDXL are drawn, from the model cards of the first of each: stabilityai/sdxl-turbo,
 * Lykon/dreamshaper-xl-turbo (Turbo models tuned further, which want some guidance), ByteDance/SDXL-Lightning,
 * ByteDance/Hyper-SD, latent-consistency/lcm-lora-sdxl, and diffusers' defaults for SDXL.
 */
const FAMILIES = {
  turbo: { steps: 4, maxSteps: 8, guidance: 1, sampler: 'euler_a', trailing: true, side: 512 },
  'turbo-guided': {
    steps: 6,
    maxSteps: 12,
    guidance: 2,
    sampler: 'dpmpp_sde_karras',
    trailing: true,
    side: 1024,
  },
  lightning: { steps: 4, maxSteps: 12, guidance: 1, sampler: 'euler', trailing: true, side: 1024 },
  hyper: { steps: 8, maxSteps: 16, guidance: 1, sampler: 'tcd', trailing: true, side: 1024 },
  lcm: { steps: 4, maxSteps: 16, guidance: 1, sampler: 'lcm', trailing: false, side: 1024 },
  sdxl: { steps: 30, maxSteps: 50, guidance: 5, sampler: 'euler', trailing: false, side: 1024 },
} as const satisfies Record<string, Family>

// Cards write 0 or 1 for none; AUTOMATIC1111 and the formula say 1.
const NO_GUIDANCE = 1

// What the service takes of anybody, which a card may go beyond.
const MOST_STEPS = 50
const MOST_GUIDANCE = 30

type FamilyName = keyof typeof FAMILIES

/** What a recommendation is made of. */
export type Facts = {
  /** Name of the model, then its title where it has one. */
  names: string[]
  /** Names of the LoRA files that were merged with some weight; they make another model of it. */
  loras: string[]
  scheduler: SchedulerConfig
  /** Pixels a side that it was trained for. */
  nativeSize: number
  /** Whether scheduler and size are our guess, because a single file brings no configs. */
  inferred: { scheduler: boolean; size: boolean }
  card: Pick<ModelCard, 'steps' | 'guidance'>
}

/**
 * Settings a model is drawn well with: what its own files say, and for the rest what its family wants, which is told
 * by its name, its title, the LoRA merged into it or its scheduler.
 */
export function recommend(facts: Facts): Recommended {
  const { scheduler, inferred, card } = facts
  const name = recogniseFamily(facts)
  const family: Family = FAMILIES[name]
  // SDXL's own scheduler is often carried along with weights distilled for another.
  const isCarried =
    scheduler._class_name === 'EulerDiscreteScheduler' && scheduler.timestep_spacing === 'leading'
  const isForeign = inferred.scheduler || isCarried || facts.loras.some(distilledBy)
  const shown = card.steps ?? stepsNamed([...facts.loras, ...facts.names], name) ?? family.steps
  const steps = Math.min(shown, MOST_STEPS)
  return {
    family: name,
    steps,
    maxSteps: Math.max(steps, family.maxSteps),
    guidance: Math.min(MOST_GUIDANCE, Math.max(NO_GUIDANCE, card.guidance ?? family.guidance)),
    sampler: isForeign ? family.sampler : defaultSampler(scheduler),
    timestepSpacing: isForeign && family.trailing ? 'trailing' : scheduler.timestep_spacing,
    sizes: sizesOf(inferred.size ? family.side : facts.nativeSize),
  }
}

function recogniseFamily({ names, loras, scheduler, inferred }: Facts): FamilyName {
  const family = loras.map(distilledBy).find(Boolean) ?? names.map(familyNamed).find(Boolean)
  if (family) return family
  if (inferred.scheduler) return 'turbo' // as single files of this service are unless they say otherwise
  const { _class_name, timestep_spacing } = scheduler
  if (_class_name === 'LCMScheduler') return 'lcm'
  if (_class_name === 'TCDScheduler') return 'hyper'
  if (timestep_spacing !== 'trailing') return 'sdxl'
  return _class_name === 'EulerDiscreteScheduler' ? 'lightning' : 'turbo'
}

const word = (text: string) => new RegExp(`(?<![a-z])${text}(?![a-z])`, 'i')

// Words, not parts of them: "hyperrealistic" is no Hyper-SD.
const MARKS: [FamilyName, RegExp][] = [
  ['lightning', /lightning/i],
  ['hyper', /(?<![a-z])hyper[-_ ]?(?:sd|\d)/i],
  ['hyper', word('hyper')],
  ['lcm', word('lcm')],
  ['turbo', /sd[-_ ]?xl[-_ ]?turbo/i],
  ['turbo', /^turbo$/i],
  ['turbo-guided', /turbo/i],
  ['sdxl', /xl[-_ ]?base/i],
]

function familyNamed(name: string): FamilyName | undefined {
  return MARKS.find(([, mark]) => mark.test(name))?.[0]
}

/** What a LoRA file makes of a model; most change its style only. */
function distilledBy(lora: string): FamilyName | undefined {
  const family = familyNamed(lora)
  return family === 'sdxl' ? undefined : family
}

/** Distilled checkpoints are one a number of steps, which stands in their names: "sdxl_lightning_8step". */
function stepsNamed(names: string[], family: FamilyName): number | undefined {
  if (family !== 'lightning' && family !== 'hyper') return undefined
  for (const name of names) {
    const steps = Number(/(?<!\d)(\d{1,2})[-_ ]?steps?/i.exec(name)?.[1])
    if (steps >= 1 && steps <= FAMILIES[family].maxSteps) return steps
  }
  return undefined
}

const LEAST_SIDE = 64

/** The square, then three quarters of it lying and standing, in whole latent pixels. */
function sizesOf(side: number): Recommended['sizes'] {
  const short = Math.round((side * 3) / 4 / 8) * 8
  const square = { width: side, height: side }
  if (short < LEAST_SIDE) return [square]
  return [square, { width: side, height: short }, { width: short, height: side }]
}
