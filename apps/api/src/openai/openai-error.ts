import type { ErrorCode } from '@sdcpu/contract'
import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import { type ApiError, publicMessage } from '../api-error.ts'

/** OpenAI's shape of an error. */
export const OpenAiError = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().nullable(),
      moderation_details: z
        .object({ moderation_stage: z.enum(['input', 'output']), categories: z.array(z.string()) })
        .optional(),
    }),
  })
  .meta({ id: 'OpenAiError' })
export type OpenAiError = z.infer<typeof OpenAiError>

const MAX_RETRY_AFTER_SECONDS = 60 // clients of OpenAI do not wait for longer, and ask at once instead

// OpenAI's names where it has one for what ours means; the others are ours.
const NAMES: Partial<Record<ErrorCode, { type: string; code?: string }>> = {
  unauthorized: { type: 'invalid_request_error', code: 'invalid_api_key' },
  flagged: { type: 'image_generation_user_error', code: 'moderation_blocked' },
  queue_full: { type: 'rate_limit_error', code: 'rate_limit_exceeded' },
  rate_limited: { type: 'rate_limit_error', code: 'rate_limit_exceeded' },
  unavailable: { type: 'server_error' },
  model_not_ready: { type: 'server_error' },
  generation_failed: { type: 'server_error' },
  deadline_exceeded: { type: 'server_error' },
  internal: { type: 'server_error' },
}

// What another try may change. A drawing that failed was tried twice already.
const WORTH_RETRYING: ErrorCode[] = ['queue_full', 'rate_limited', 'unavailable', 'model_not_ready']

/** An error in OpenAI's shape; `stage` is when a safety service refused, if one did. */
export function toOpenAiError(error: ApiError, stage: 'input' | 'output' = 'input'): OpenAiError {
  const { type = 'invalid_request_error', code = error.code } = NAMES[error.code] ?? {}
  const param = error.param ?? (error.code === 'model_not_found' ? 'model' : null)
  const categories = error.category === undefined ? [] : [error.category]
  return {
    error: {
      ...{ message: publicMessage(error), type, param, code },
      ...(error.code === 'flagged' && { moderation_details: { moderation_stage: stage, categories } }),
    },
  }
}

/** Tells OpenAI's clients in headers whether and when to try again. */
export function setRetryHeaders(reply: FastifyReply, { code, retryAfterSeconds }: ApiError): void {
  if (retryAfterSeconds !== undefined)
    reply.header('retry-after', Math.min(Math.max(1, Math.ceil(retryAfterSeconds)), MAX_RETRY_AFTER_SECONDS))
  if (!WORTH_RETRYING.includes(code)) reply.header('x-should-retry', 'false')
}
