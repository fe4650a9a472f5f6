import { ApiError } from './api/call-api.ts'
import type { Texts } from './texts/en.ts'

export type ErrorWords = { title: string; hint: string; canRetry: boolean; retryAfterSeconds: number }

/** Turns any error into words for the person at the page: what happened, and what to do. */
export function describeError(error: unknown, texts: Texts): ErrorWords {
  const words = texts.errors
  if (!(error instanceof ApiError))
    return { ...words.internal(undefined), canRetry: true, retryAfterSeconds: 0 }
  const retryAfterSeconds = error.retryAfterSeconds ?? 0
  // A newer API may know more codes than this page.
  switch (error.code as string) {
    case 'unavailable':
      return { ...words.unavailable, canRetry: true, retryAfterSeconds }
    case 'model_not_ready':
      return { ...words.modelNotReady, canRetry: true, retryAfterSeconds }
    case 'rate_limited':
      return { ...words.rateLimited, canRetry: true, retryAfterSeconds }
    case 'queue_full':
      return { ...words.queueFull, canRetry: true, retryAfterSeconds }
    case 'deadline_exceeded':
      return { ...words.tooLate, canRetry: true, retryAfterSeconds }
    case 'image_not_found':
    case 'expired':
      return { ...words.gone, canRetry: true, retryAfterSeconds: 0 }
    case 'generation_failed':
      return { ...words.failed(error.requestId), canRetry: true, retryAfterSeconds: 0 }
    case 'internal':
      return { ...words.internal(error.requestId), canRetry: true, retryAfterSeconds }
    default:
      // What else the API refuses is the request's fault, and its message says which.
      return { title: words.refused.title, hint: error.message, canRetry: false, retryAfterSeconds: 0 }
  }
}
