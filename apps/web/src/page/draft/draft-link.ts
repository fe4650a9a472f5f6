import { type Draft, EMPTY_DRAFT } from './read-draft.ts'

const TEXTS = ['prompt', 'seed', 'size', 'model', 'sampler', 'negativePrompt'] as const
const NUMBERS = ['steps', 'guidance', 'strength'] as const
const MAX_COUNT = 4 // as many as the form offers

/**
 * The part of a link behind `#` that brings a draft back; empty where all is as in an empty form.
 * Behind `#` and not `?`, because what stands there is never sent to a server and its logs.
 */
export function toFragment(draft: Draft): string {
  const parameters = new URLSearchParams()
  for (const name of TEXTS) if (draft[name] !== '') parameters.set(name, draft[name])
  for (const name of NUMBERS) if (draft[name] !== undefined) parameters.set(name, String(draft[name]))
  if (draft.n !== EMPTY_DRAFT.n) parameters.set('n', String(draft.n))
  return parameters.toString()
}

/** Reads such a part; what is missing or makes no sense stays as in an empty form, and no prompt means no draft. */
export function fromFragment(fragment: string): Draft | undefined {
  const parameters = new URLSearchParams(fragment.replace(/^#/, ''))
  if (!parameters.get('prompt')) return undefined
  const draft = { ...EMPTY_DRAFT }
  for (const name of TEXTS) draft[name] = parameters.get(name) ?? ''
  for (const name of NUMBERS) draft[name] = readNumber(parameters.get(name))
  const n = readNumber(parameters.get('n'))
  if (n && Number.isInteger(n) && n <= MAX_COUNT) draft.n = n
  return draft
}

/** Where a link to this page with this draft leads. */
export function toLink(draft: Draft, page: string = location.href): string {
  const url = new URL(page)
  url.hash = toFragment(draft)
  return url.href
}

function readNumber(text: string | null): number | undefined {
  return text && /^\d{1,6}(\.\d{1,3})?$/.test(text) ? Number(text) : undefined
}
