import type { ErrorBody, ErrorCode } from '@sdcpu/contract'
import { authorizationHeader } from './api-key.ts'

/** What a call may say; headers as a plain object. */
type Call = Omit<RequestInit, 'headers'> & { headers?: Record<string, string> }

// The API answers these calls at once; whoever is silent for longer is not there.
const TIMEOUT_MS = 15_000
const MAX_ANSWERS = 50 // requests that one page follows at a time, and some more

/** An answer that was not the one asked for; `code` is `unavailable` when there was no answer at all. */
export class ApiError extends Error {
  override name = 'ApiError'
  readonly code: ErrorCode
  readonly retryAfterSeconds: number | undefined
  readonly requestId: string | undefined
  /** Why a safety service refused. */
  readonly category: string | undefined

  constructor(
    code: ErrorCode,
    message: string,
    details: { retryAfterSeconds?: number; requestId?: string; category?: string; cause?: unknown } = {},
  ) {
    super(message, { cause: details.cause })
    this.code = code
    this.retryAfterSeconds = details.retryAfterSeconds
    this.requestId = details.requestId
    this.category = details.category
  }
}

/**
 * Calls the API and returns its JSON, or nothing where the answer has no body (204).
 * @throws ApiError on every other outcome; an abort by `signal` is passed on as it is.
 */
export async function callApi<Reply>(path: string, init: Call = {}): Promise<Reply> {
  return readReply<Reply>(await send(path, init))
}

// The last answer to each question that carried an ETag, newest last.
const answers = new Map<string, { etag: string; body: unknown }>()

/**
 * Asks the API what was asked before: when nothing has changed, it may say so without a body (304), and the answer
 * is the one from before.
 * @throws ApiError like `callApi`
 */
export async function askAgain<Reply>(path: string, init: { signal?: AbortSignal } = {}): Promise<Reply> {
  const last = answers.get(path)
  const response = await send(path, { ...init, headers: last && { 'if-none-match': last.etag } })
  if (response.status === 304 && last) return last.body as Reply
  const body = await readReply<Reply>(response)
  const etag = response.headers.get('etag')
  answers.delete(path)
  if (etag) answers.set(path, { etag, body })
  const [oldest] = answers.keys()
  if (answers.size > MAX_ANSWERS && oldest) answers.delete(oldest)
  return body
}

/**
 * Fetches the bytes of a picture.
 * @throws ApiError like `callApi`
 */
export async function fetchPicture(url: string, signal?: AbortSignal): Promise<Blob> {
  // Addresses from the API begin at the root of the site; the page may be served below a path of it.
  const response = await send(url.replace(/^\//, ''), { signal })
  if (response.ok) return response.blob()
  throw toApiError(response, await response.json().catch(() => undefined))
}

async function readReply<Reply>(response: Response): Promise<Reply> {
  if (response.status === 204) return undefined as Reply
  const body: unknown = await response.json().catch(() => undefined)
  if (response.ok && body !== undefined) return body as Reply
  throw toApiError(response, body)
}

async function send(path: string, init: Call): Promise<Response> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS)
  try {
    return await fetch(path, {
      ...init,
      headers: { ...init.headers, ...authorizationHeader() },
      signal: init.signal ? AbortSignal.any([init.signal, timeout]) : timeout,
    })
  } catch (cause) {
    if (init.signal?.aborted) throw cause
    throw new ApiError('unavailable', 'The API did not answer', { cause })
  }
}

function toApiError(response: Response, body: unknown): ApiError {
  const retryAfterSeconds = Number(response.headers.get('retry-after')) || undefined
  if (isErrorBody(body)) {
    const { code, message, requestId, category } = body.error
    return new ApiError(code, message, { retryAfterSeconds, requestId, category })
  }
  // Not the API's own words: something between it and this page answered.
  const isGateway = response.ok || [502, 503, 504].includes(response.status)
  return new ApiError(isGateway ? 'unavailable' : 'internal', `Unexpected answer ${response.status}`, {
    retryAfterSeconds,
  })
}

function isErrorBody(body: unknown): body is ErrorBody {
  const error = (body as Partial<ErrorBody> | undefined)?.error
  return typeof error?.code === 'string' && typeof error.message === 'string'
}
