import type { ErrorCode } from '@sdcpu/contract'
import type { Fault } from '../read-fault.ts'

/** What an error says beside its code, where it says so. */
export type ErrorDetails = {
  /** The API's own words, which are English. */
  message: string
  fault: Fault | undefined
  /** Under which logs tell more. */
  requestId: string | undefined
  /** Why a safety service refused. */
  category: string | undefined
}

/** What happened, and what to do. */
export type ErrorTexts = { title: string; hint: string }

const FIELDS: Record<string, string> = {
  prompt: 'The prompt',
  negativePrompt: 'The negative prompt',
  n: 'The number of pictures',
  seed: 'The seed',
  steps: 'The number of steps',
  guidance: 'Guidance',
  strength: 'Strength',
  image: 'The picture to start from',
}

/** What each error of the API means, in English. */
export const errorsEn: Record<ErrorCode, (details: ErrorDetails) => ErrorTexts> = {
  invalid_request: ({ fault, message }) => ({
    title: 'This request was not accepted.',
    // Its own words are English, like this page, and say more than the code.
    hint: fault ? `${describeFault(fault)}.` : message,
  }),
  unauthorized: () => ({
    title: 'This service needs a key.',
    hint: 'Give the one you were given, at the top of the page.',
  }),
  not_found: () => ({
    title: 'The service does not know what this page asks for.',
    hint: 'It may have been updated. Load the page again.',
  }),
  image_not_found: gone,
  image_not_ready: () => ({ title: 'The picture is not drawn yet.', hint: 'Wait a moment, then try again.' }),
  model_not_found: () => ({
    title: 'This model is no longer offered.',
    hint: 'Choose another one under Settings.',
  }),
  expired: gone,
  payload_too_large: () => ({
    title: 'This request is too large.',
    hint: 'Start from a smaller picture, or from none.',
  }),
  size_too_large: () => ({
    title: 'This size is too large for the service.',
    hint: 'Its workers have no memory for it. Choose a smaller one.',
  }),
  unsupported_media_type: () => ({
    title: 'The service could not read this request.',
    hint: 'It may have been updated. Load the page again.',
  }),
  idempotency_mismatch: () => ({
    title: 'This request was sent before, with other settings.',
    hint: 'Press Generate to send it anew.',
  }),
  flagged: ({ category }) => ({
    title: 'The policy of this service refused it.',
    hint: `Describe something else${category ? `; the reason given is “${category}”` : ''}.`,
  }),
  canceled: () => ({ title: 'The picture was canceled.', hint: 'Draw it again if you want it after all.' }),
  queue_full: () => ({
    title: 'The queue is full.',
    hint: 'Many pictures are waiting already. Try again when some of them are drawn.',
  }),
  rate_limited: () => ({ title: 'Too many requests at once.', hint: 'Wait a moment, then try again.' }),
  unavailable: () => ({
    title: 'The service cannot be reached.',
    hint: 'It may be starting or restarting. Nothing you typed is lost; try again in a moment.',
  }),
  model_not_ready: () => ({
    title: 'The model is still loading.',
    hint: 'It is made ready once, when the service starts. Try again in a moment.',
  }),
  generation_failed: ({ requestId }) => ({
    title: 'The picture could not be drawn.',
    hint: `Try again. If it fails each time, the logs say why${requestId ? ` under ${requestId}` : ''}.`,
  }),
  deadline_exceeded: () => ({
    title: 'It was not drawn in time.',
    hint: 'The service was busier than this request could wait. Try again.',
  }),
  internal: ({ requestId }) => ({
    title: 'Something went wrong.',
    hint: `Try again. If it happens each time, the logs say why${requestId ? ` under ${requestId}` : ''}.`,
  }),
}

function gone(): ErrorTexts {
  return {
    title: 'The service no longer knows this request.',
    hint: 'Requests and pictures are kept there for a limited time. Draw it again.',
  }
}

function describeFault({ field, value, limit, isLeast }: Fault): string {
  return `${FIELDS[field] ?? field} is ${value}; the ${isLeast ? 'least' : 'limit'} is ${limit}`
}
