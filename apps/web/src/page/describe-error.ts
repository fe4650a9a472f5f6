import type { ErrorCode } from '@sdcpu/contract'
import { ApiError } from './api/call-api.ts'
import { readFault } from './read-fault.ts'
import type { Texts } from './texts/en.ts'

export type ErrorWords = { title: string; hint: string; canRetry: boolean; retryAfterSeconds: number }

// The service cannot do it now; the same request may fare better in a while.
const BUSY: ErrorCode[] = [
  'unavailable',
  'model_not_ready',
  'rate_limited',
  'queue_full',
  'deadline_exceeded',
  'internal',
]
// The request is over, and the same one can be made anew.
const OVER: ErrorCode[] = ['image_not_found', 'expired', 'canceled', 'generation_failed']

/** Turns any error into words for the person at the page: what happened, and what to do. */
export function describeError(error: unknown, texts: Texts): ErrorWords {
  const {
    code,
    message,
    requestId,
    category,
    retryAfterSeconds = 0,
  } = error instanceof ApiError ? error : new ApiError('internal', '')
  // A newer API may know more codes than this page: then its own words, which are English, are better than none.
  if (!Object.hasOwn(texts.errors, code))
    return { title: texts.refused, hint: message, canRetry: false, retryAfterSeconds: 0 }
  const words = texts.errors[code]({ message, fault: readFault(message), requestId, category })
  const isBusy = BUSY.includes(code)
  return {
    ...words,
    canRetry: isBusy || OVER.includes(code),
    retryAfterSeconds: isBusy ? retryAfterSeconds : 0,
  }
}
