import { z } from 'zod'
import { type ApiError, publicMessage, statusOf } from '../api-error.ts'

/** The one shape of an error answer of AUTOMATIC1111. */
export const A1111Error = z
  .object({ error: z.string(), detail: z.string(), body: z.string(), errors: z.string() })
  .meta({ id: 'A1111Error' })
export type A1111Error = z.infer<typeof A1111Error>

/** The answers of a route that can fail. */
export const A1111_ERRORS = { '4xx': A1111Error, '5xx': A1111Error }

/** An error as AUTOMATIC1111 tells it. Some clients read `detail`, some `errors`: both have the message. */
export function toA1111Error(error: ApiError): { status: number; body: A1111Error } {
  const message = publicMessage(error)
  const isInvalid = error.code === 'invalid_request' || error.code === 'size_too_large'
  return {
    status: isInvalid ? 422 : statusOf(error.code), // as FastAPI answers what does not fit its models
    body: { error: 'HTTPException', detail: message, body: '', errors: message },
  }
}
