import { z } from 'zod'

/** Every code an error can carry, over HTTP or on an image; codes are API and are never renamed. */
export const ErrorCode = z.enum([
  // caller
  'invalid_request',
  'unauthorized',
  'not_found',
  'image_not_found',
  'image_not_ready',
  'model_not_found',
  'expired',
  'payload_too_large',
  'size_too_large',
  'unsupported_media_type',
  'idempotency_mismatch',
  'flagged',
  'canceled',
  // capacity: wait and try again
  'queue_full',
  'rate_limited',
  'unavailable',
  'model_not_ready',
  // failure
  'generation_failed',
  'deadline_exceeded',
  // bug
  'internal',
])
export type ErrorCode = z.infer<typeof ErrorCode>

/** The one shape of an error answer. */
export const ErrorBody = z
  .object({
    error: z.object({
      code: ErrorCode,
      message: z.string(),
      requestId: z.string(),
      category: z.string().optional(),
    }),
  })
  .meta({ id: 'ErrorBody' })
export type ErrorBody = z.infer<typeof ErrorBody>

/** Says in one line everything that is wrong with a request. */
export function describeIssues(error: z.ZodError): string {
  return error.issues.map((issue) => issue.message).join('; ')
}
