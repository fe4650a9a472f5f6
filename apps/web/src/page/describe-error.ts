import { ApiError } from './api/call-api.ts'
import { texts } from './texts.ts'

export type ErrorWords = { title: string; hint: string; canRetry: boolean; retryAfterSeconds: number }

/** Turns any error into words for the person at the page: what happened, and what to do. */
export function describeError(error: unknown): ErrorWords {
  const words = texts.errors
  if (!(error instanceof ApiError))
    return { ...words.internal(undefined), canRetry: true, retryAfterSeconds: 0 }
  const retryAfterSeconds = error.retryAfterSeconds ?? 0
  switch (error.code) {
    case 'unavailable':
      return { ...words.unavailable, canRetry: true, retryAfterSeconds }
    case 'model_not_ready':
      return { ...words.modelNotReady, canRetry: true, retryAfterSeconds }
    case 'queue_full':
      return { ...words.queueFull, canRetry: true, retryAfterSeconds }
    case 'invalid_request':
    case 'model_not_found':
    case 'payload_too_large':
      return { title: words.invalid.title, hint: error.message, canRetry: false, retryAfterSeconds: 0 }
    case 'image_not_found':
    case 'expired':
      return { ...words.gone, canRetry: true, retryAfterSeconds: 0 }
    case 'generation_failed':
      return { ...words.failed(error.requestId), canRetry: true, retryAfterSeconds: 0 }
    default:
      return { ...words.internal(error.requestId), canRetry: true, retryAfterSeconds }
  }
}
