import type { ErrorCode } from '@sdcpu/contract'

const STATUS: Record<ErrorCode, number> = {
  invalid_request: 400,
  unauthorized: 401,
  not_found: 404,
  image_not_found: 404,
  image_not_ready: 404,
  model_not_found: 404,
  expired: 410,
  payload_too_large: 413,
  size_too_large: 400,
  unsupported_media_type: 415,
  idempotency_mismatch: 422,
  flagged: 400,
  canceled: 409,
  queue_full: 429,
  rate_limited: 429,
  generation_failed: 500,
  deadline_exceeded: 504,
  internal: 500,
  unavailable: 503,
  model_not_ready: 503,
}

// What a 5xx says, whatever happened: nothing of the inside.
const FIXED_MESSAGE: Partial<Record<ErrorCode, string>> = {
  generation_failed: 'The image could not be drawn. The same request may succeed another time.',
  internal: 'Something is wrong on our side.',
  unavailable: 'The service cannot reach its queue at the moment. Try again shortly.',
  model_not_ready: 'No worker has loaded the model yet. Try again shortly.',
}

// What is told of an image that failed with one of these.
const OF_AN_IMAGE: Partial<Record<ErrorCode, string>> = {
  canceled: 'The image was canceled.',
  deadline_exceeded: 'The image was not begun before its deadline.',
  flagged: 'The image was refused by the policy of this service.',
  size_too_large: 'The image does not fit into the memory of the workers. Ask for a smaller size.',
}

/** An answer that is not what was asked for. Answers with 5xx carry a fixed text in place of `message`. */
export class ApiError extends Error {
  readonly code: ErrorCode
  readonly retryAfterSeconds: number | undefined
  /** Why a safety service refused. */
  readonly category: string | undefined
  /** Field of the request that is at fault, where one is. */
  readonly param: string | undefined

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      cause?: unknown
      retryAfterSeconds?: number
      category?: string | undefined
      param?: string | undefined
    } = {},
  ) {
    super(message, { cause: options.cause })
    this.code = code
    this.retryAfterSeconds = options.retryAfterSeconds
    this.category = options.category
    this.param = options.param
  }
}

/** Makes an `ApiError` of anything that was thrown; what nobody foresaw is `internal`. Bodies may have `bodyLimit` bytes. */
export function toApiError(thrown: unknown, { bodyLimit }: { bodyLimit: number }): ApiError {
  if (thrown instanceof ApiError) return thrown
  if (thrown instanceof Error && 'statusCode' in thrown) {
    // Fastify's own refusals: their texts name the fault and nothing of the inside.
    if (thrown.statusCode === 413)
      return new ApiError('payload_too_large', `the body is larger than ${bodyLimit} bytes`, {
        cause: thrown,
      })
    if (thrown.statusCode === 415)
      return new ApiError('unsupported_media_type', thrown.message, { cause: thrown })
    if (isCallerFault(thrown.statusCode))
      return new ApiError('invalid_request', thrown.message, { cause: thrown })
  }
  return new ApiError('internal', 'unforeseen', { cause: thrown })
}

/** The HTTP status of an error code. */
export function statusOf(code: ErrorCode): number {
  return STATUS[code]
}

/** What callers are told. */
export function publicMessage(error: ApiError): string {
  return FIXED_MESSAGE[error.code] ?? error.message
}

/** The text of an error that has no more to say than its code. */
export function fixedMessage(code: ErrorCode): string {
  return FIXED_MESSAGE[code] ?? OF_AN_IMAGE[code] ?? code
}

function isCallerFault(statusCode: unknown): boolean {
  return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500
}
