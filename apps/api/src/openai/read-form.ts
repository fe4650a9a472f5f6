import { MAX_INPUT_BYTES } from '@sdcpu/contract'
import type { FastifyRequest } from 'fastify'
import { ApiError } from '../api-error.ts'

/** Bounds of a form: one picture, and more small fields than anybody sends. */
export const FORM_LIMITS = {
  fileSize: MAX_INPUT_BYTES,
  files: 17,
  fields: 50,
  fieldSize: 64 * 1024,
  parts: 67,
}

const NUMBERS = new Set([
  ...['n', 'partial_images', 'seed', 'rng_seed', 'steps', 'num_inference_steps', 'step'],
  ...['guidance_scale', 'cfg_scale', 'strength'],
])

/**
 * Reads a multipart form as the object that JSON would have been: numbers and booleans of the fields we know, and the
 * file `image` (or `image[]`) as base64.
 * @throws `unsupported_media_type` where it is no form, `invalid_request` where it is damaged or has a mask or several images,
 * `payload_too_large`
 */
export async function readForm(request: FastifyRequest): Promise<Record<string, unknown>> {
  if (!request.isMultipart())
    throw new ApiError('unsupported_media_type', 'the body must be multipart/form-data')
  return readParts(request).catch(rethrow)
}

async function readParts(request: FastifyRequest): Promise<Record<string, unknown>> {
  const body: Record<string, unknown> = {}
  for await (const part of request.parts()) {
    const name = part.fieldname.replace(/\[\d*\]$/, '')
    if (name === 'mask')
      throw new ApiError(
        'invalid_request',
        'mask is not supported: the whole image is drawn again. Leave it out',
        { param: 'mask' },
      )
    if (part.type === 'field') {
      if (part.valueTruncated)
        throw new ApiError('payload_too_large', `${name} is longer than ${FORM_LIMITS.fieldSize} bytes`)
      if (name !== 'image') body[name] = toValue(name, String(part.value))
      continue
    }
    const bytes = await part.toBuffer()
    if (name !== 'image') continue
    if (body.image !== undefined)
      throw new ApiError('invalid_request', 'there is more than one image; the limit is 1', {
        param: 'image',
      })
    body.image = bytes.toString('base64')
  }
  return body
}

/** A field's value as JSON would have it; text that is no number is left for the schema to refuse. */
function toValue(name: string, text: string): unknown {
  if (NUMBERS.has(name))
    return text.trim() === '' ? undefined : Number.isNaN(Number(text)) ? text : Number(text)
  if (name === 'stream') return text === 'true' ? true : text === 'false' || text === '' ? false : text
  // Forms have no null: an empty one is a field that somebody left empty.
  return text === '' && name !== 'prompt' ? undefined : text
}

function rethrow(cause: NodeJS.ErrnoException): never {
  if (cause instanceof ApiError) throw cause
  if (cause.code === 'FST_REQ_FILE_TOO_LARGE')
    throw new ApiError('payload_too_large', `image is larger than ${MAX_INPUT_BYTES} bytes`, {
      cause,
      param: 'image',
    })
  if (cause.code?.endsWith('_LIMIT')) {
    const { files, fields } = FORM_LIMITS
    const message = `the form has more than ${files} files or ${fields} other fields`
    throw new ApiError('payload_too_large', message, { cause })
  }
  // The parser's own texts name the fault and nothing of the inside.
  throw new ApiError('invalid_request', `the form cannot be read: ${cause.message}`, { cause })
}
