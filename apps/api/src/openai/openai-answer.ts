import { ErrorCode, type Image, ImageFormat, type ImageRequest, type ImagesResource } from '@sdcpu/contract'
import { z } from 'zod'
import { ApiError } from '../api-error.ts'

const Usage = z
  .object({
    input_tokens: z.int(),
    input_tokens_details: z.object({ text_tokens: z.int(), image_tokens: z.int() }),
    output_tokens: z.int(),
    total_tokens: z.int(),
  })
  .describe('Of the prompts; absent where the worker does not tell')
type Usage = z.infer<typeof Usage>

/** What `POST /v1/images/generations` and `/edits` answer. */
export const OpenAiImages = z
  .object({
    created: z.int().describe('Seconds since 1970'),
    data: z.array(
      z.object({
        b64_json: z.string().optional(),
        url: z.string().optional(),
        seed: z.int().describe('What this image was drawn from; not one of OpenAI’s fields'),
        warnings: z
          .array(z.string())
          .optional()
          .describe('What of the request had no effect, a sentence each; not one of OpenAI’s fields'),
      }),
    ),
    output_format: ImageFormat,
    size: z.string().describe('What was drawn, which may not be what was asked for'),
    background: z.literal('opaque'),
    usage: Usage.optional(),
    id: z.string().describe('Of the request in the native API; not one of OpenAI’s fields'),
  })
  .meta({ id: 'OpenAiImages' })
export type OpenAiImages = z.infer<typeof OpenAiImages>

/** The answer for a request all of whose images are drawn; `place` gives an image as base64 or as a URL. */
export async function toAnswer(
  { id, createdAt, request, images }: ImagesResource,
  place: (image: Image) => Promise<{ b64_json: string } | { url: string }>,
): Promise<OpenAiImages> {
  const data = []
  for (const image of images) {
    const { seed, warnings = [] } = image
    data.push({ ...(await place(image)), seed, ...(warnings.length > 0 && { warnings }) })
  }
  const usage = toUsage(images.slice(0, 1)) // all are drawn from one prompt
  return {
    created: toSeconds(createdAt),
    data,
    ...describeFile(request),
    ...(usage && { usage }),
    id,
  }
}

export const EVENT_KINDS = ['image_generation', 'image_edit'] as const
export type EventKind = (typeof EVENT_KINDS)[number]

type EventSource = {
  kind: EventKind
  createdAt: string
  request: ImageRequest
  index: number
  file: Uint8Array
}

/** An event with what an image looks like so far; `number` counts the image's own. */
export function toPartialEvent({ number, ...source }: EventSource & { number: number }): string {
  return toFrame(`${source.kind}.partial_image`, { ...describeEvent(source), partial_image_index: number })
}

/** An event with an image that is drawn. */
export function toCompletedEvent({
  image,
  ...source
}: Omit<EventSource, 'index'> & { image: Image }): string {
  const { seed, index, warnings = [] } = image
  return toFrame(`${source.kind}.completed`, {
    ...describeEvent({ ...source, index }),
    seed,
    ...(warnings.length > 0 && { warnings }),
    usage: toUsage([image]),
  })
}

/** A server-sent event whose data says again what it is, as OpenAI's do. */
export function toFrame(type: string, data: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`
}

// The clients' types have an index only of partial images; `image_index` tells several images apart.
function describeEvent({ createdAt, request, index, file }: EventSource) {
  return {
    b64_json: toBase64(file),
    created_at: toSeconds(createdAt),
    ...describeFile(request),
    quality: 'auto',
    image_index: index,
  }
}

/** Bytes as base64. */
export function toBase64({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64')
}

/** What became of an image that was not drawn. */
export function toImageError({ images }: ImagesResource): ApiError | undefined {
  const failed = images.find(({ status }) => status === 'failed')
  const { code = ErrorCode.enum.generation_failed, message = '', category } = failed?.error ?? {}
  if (failed) return new ApiError(code, message, { category })
  const isCanceled = images.some(({ status }) => status === 'canceled')
  return isCanceled ? new ApiError('canceled', 'The request was canceled.') : undefined
}

function describeFile({ format, size }: ImageRequest) {
  return { output_format: format, size, background: 'opaque' as const }
}

function toUsage(images: Image[]): Usage | undefined {
  const tokens = images.map(({ promptTokens, negativePromptTokens = 0 }) =>
    promptTokens === undefined ? undefined : promptTokens + negativePromptTokens,
  )
  if (tokens.includes(undefined)) return undefined
  const sum = tokens.reduce<number>((total, count) => total + (count ?? 0), 0)
  return {
    input_tokens: sum,
    input_tokens_details: { text_tokens: sum, image_tokens: 0 },
    output_tokens: 0,
    total_tokens: sum,
  }
}

function toSeconds(time: string): number {
  return Math.floor(Date.parse(time) / 1000)
}
