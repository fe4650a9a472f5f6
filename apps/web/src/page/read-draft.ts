import type { CreateImages } from '@sdcpu/contract'

/** A request as the form can make it. */
export type ImagesInput = Pick<CreateImages, 'prompt' | 'n' | 'seed'>

/** What stands in the form, as typed. */
export type Draft = { prompt: string; seed: string; n: number }

/** Fields that cannot be sent as they are. */
export type DraftFaults = { prompt?: 'missing'; seed?: 'invalid' }

const MAX_SEED = 2 ** 32 - 1 // the noise generator takes 32 bits

/** Turns the form into a request, or says which fields stand in the way. */
export function readDraft(draft: Draft): { input: ImagesInput } | { faults: DraftFaults } {
  const prompt = draft.prompt.trim()
  const seed = readSeed(draft.seed)
  const faults: DraftFaults = {}
  if (prompt === '') faults.prompt = 'missing'
  if (seed === 'invalid') faults.seed = 'invalid'
  if (seed === 'invalid' || prompt === '') return { faults }
  return { input: { prompt, n: draft.n, ...(seed !== undefined && { seed }) } }
}

function readSeed(typed: string): number | undefined | 'invalid' {
  const text = typed.trim()
  if (text === '') return undefined
  return /^\d{1,10}$/.test(text) && Number(text) <= MAX_SEED ? Number(text) : 'invalid'
}
