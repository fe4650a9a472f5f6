import { type CreateImages, type Model, SAMPLERS, type SamplerName } from '@sdcpu/contract'
import { effectiveStrength } from '../input/strength.ts'

/** A request as the form can make it. */
export type ImagesInput = Pick<
  CreateImages,
  | 'prompt'
  | 'n'
  | 'seed'
  | 'size'
  | 'steps'
  | 'model'
  | 'sampler'
  | 'guidance'
  | 'negativePrompt'
  | 'strength'
>

/** What stands in the form, as typed. Empty text and `undefined` stand for the model's own, or a random seed. */
export type Draft = {
  prompt: string
  seed: string
  n: number
  size: string
  steps: number | undefined
  model: string
  sampler: string
  guidance: number | undefined
  negativePrompt: string
  /** Only counts where there is a picture to begin with. */
  strength: number | undefined
}

/** Fields that cannot be sent as they are. */
export type DraftFaults = { prompt?: 'missing' | { characters: number }; seed?: 'invalid' }

export const EMPTY_DRAFT: Draft = {
  prompt: '',
  seed: '',
  n: 1,
  size: '',
  steps: undefined,
  model: '',
  sampler: '',
  guidance: undefined,
  negativePrompt: '',
  strength: undefined,
}

// The API's own limits; a test compares them with the contract's, whose values would bring zod into the page.
export const MAX_SEED = 2 ** 32 - 1
export const MAX_PROMPT_CHARACTERS = 2000

/**
 * Turns the form into a request of what `model` offers, or says which fields stand in the way. With a picture to begin
 * with, where the model draws from one, the request has a strength, and only then.
 */
export function readDraft(
  draft: Draft,
  model: Model | undefined,
  hasPicture = false,
): { input: ImagesInput } | { faults: DraftFaults } {
  const prompt = draft.prompt.trim()
  const seed = readSeed(draft.seed)
  const faults: DraftFaults = {}
  const characters = [...prompt].length
  if (prompt === '') faults.prompt = 'missing'
  else if (characters > MAX_PROMPT_CHARACTERS) faults.prompt = { characters }
  if (seed === 'invalid') faults.seed = 'invalid'
  if (seed === 'invalid' || faults.prompt) return { faults }
  return {
    input: {
      prompt,
      n: draft.n,
      ...(seed !== undefined && { seed }),
      ...(draft.size && { size: draft.size }),
      ...(draft.steps !== undefined && { steps: draft.steps }),
      ...readAdvanced(draft, model),
      ...(hasPicture && model?.drawsFromImage && { strength: strengthOf(draft, model) }),
    },
  }
}

/** The model that draws: the one named, or else the first there is. */
export function modelOf(draft: Draft, models: Model[]): Model | undefined {
  return models.find(({ name }) => name === draft.model) ?? models[0]
}

/** A negative prompt needs guidance above 1; it is not sent where it would be without effect. */
export function usesNegativePrompt(draft: Draft, model: Model | undefined): boolean {
  return (draft.guidance ?? model?.defaultGuidance ?? 0) > 1
}

function strengthOf({ strength, steps }: Draft, model: Model): number {
  return effectiveStrength(strength, steps ?? model.defaultSteps)
}

function readAdvanced(draft: Draft, model: Model | undefined): Partial<ImagesInput> {
  if (!model) return {}
  const negativePrompt = draft.negativePrompt.trim()
  return {
    ...(draft.model === model.name && { model: model.name }),
    ...(isSampler(draft.sampler) && { sampler: draft.sampler }),
    ...(draft.guidance !== undefined && { guidance: draft.guidance }),
    ...(negativePrompt && usesNegativePrompt(draft, model) && { negativePrompt }),
  }
}

function readSeed(typed: string): number | undefined | 'invalid' {
  const text = typed.trim()
  if (text === '') return undefined
  return /^\d{1,10}$/.test(text) && Number(text) <= MAX_SEED ? Number(text) : 'invalid'
}

/** Whether a text from a link or an earlier visit is the name of a sampler. */
export function isSampler(text: string): text is SamplerName {
  return Object.hasOwn(SAMPLERS, text)
}
