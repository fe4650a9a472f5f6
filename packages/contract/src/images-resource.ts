import { z } from 'zod'
import { TIMESTEP_SPACINGS } from './create-images.ts'
import { ErrorCode } from './errors.ts'
import { ImageFormat } from './image-format.ts'
import { SAMPLER_NAMES } from './samplers.ts'

export const ImageStatus = z
  .enum(['queued', 'running', 'succeeded', 'failed', 'canceled'])
  .meta({ id: 'ImageStatus' })
export type ImageStatus = z.infer<typeof ImageStatus>

/** True when nothing will change the status any more, so that a poll can stop. */
export function isTerminal(status: ImageStatus): boolean {
  return status !== 'queued' && status !== 'running'
}

/** A request with everything filled in that its caller left out. */
export const ImageRequest = z
  .object({
    model: z.string(),
    prompt: z.string(),
    n: z.int(),
    seed: z.int().describe('Of image 0; image i is drawn from (seed + i) modulo 2^32.'),
    size: z.string(),
    steps: z.int(),
    // What follows is absent in requests kept by an older API.
    guidance: z.number().optional(),
    sampler: z.enum(SAMPLER_NAMES).optional(),
    negativePrompt: z.string().optional(),
    emphasis: z.boolean().optional(),
    timestepSpacing: z.enum(TIMESTEP_SPACINGS).optional().describe('Only where the caller asked for one.'),
    strength: z
      .number()
      .optional()
      .describe('How far from the image to go; only where there is one to begin with.'),
    image: z
      .object({ bytes: z.int(), width: z.int(), height: z.int() })
      .optional()
      .describe('The image to begin with, as it was sent.'),
    expiresInSeconds: z.int().optional().describe('An image that is not begun by then is never drawn.'),
    format: ImageFormat,
  })
  .meta({ id: 'ImageRequest' })
export type ImageRequest = z.infer<typeof ImageRequest>

/** Milliseconds spent on the batch an image was drawn in. */
export const ImageTimings = z
  .object({
    encodePrompts: z.number(),
    encodeImage: z.number().optional().describe('Only where there was an image to begin with.'),
    steps: z.array(z.number()),
    previews: z.number().optional().describe('Of decoding them; only where there were some.'),
    decode: z.number(),
    encodePng: z.number(),
  })
  .meta({ id: 'ImageTimings' })
export type ImageTimings = z.infer<typeof ImageTimings>

/** How long an image's prompts were. Absent with workers that do not tell. */
export const PromptTokens = z.object({
  promptTokens: z.int().optional().describe('Without those that begin and end a chunk.'),
  negativePromptTokens: z.int().optional().describe('Only where the negative prompt had effect.'),
  promptChunks: z.int().optional().describe('Runs of 75 tokens that the longer of the two took.'),
})

/** One image of a request. From `url` to `warnings`, what there is is told once it has succeeded. */
export const Image = z
  .object({
    index: z.int(),
    seed: z.int(),
    status: ImageStatus,
    position: z.int().min(0).optional().describe('How many images are drawn before it, while it is queued.'),
    etaSeconds: z
      .number()
      .min(0)
      .optional()
      .describe('Seconds until it is drawn, as far as can be told; absent where no worker is known.'),
    step: z.int().optional().describe('Steps done, while it runs.'),
    steps: z
      .int()
      .describe('Steps to be done: those asked for, or from an image the share that `strength` says.'),
    url: z.string().optional().describe('Left out again when the bytes have expired.'),
    width: z.int().optional(),
    height: z.int().optional(),
    timingsMs: ImageTimings.optional(),
    ...PromptTokens.shape,
    warnings: z.array(z.string()).optional().describe('What of the request had no effect, a sentence each.'),
    error: z.object({ code: ErrorCode, message: z.string(), category: z.string().optional() }).optional(),
  })
  .meta({ id: 'Image' })
export type Image = z.infer<typeof Image>

/** What `POST /api/v1/images` and `GET /api/v1/images/:id` answer. */
export const ImagesResource = z
  .object({
    id: z.string(),
    status: ImageStatus,
    createdAt: z.iso.datetime(),
    request: ImageRequest,
    notice: z.enum(['no_worker', 'paused']).optional().describe('Why what is queued does not move.'),
    images: z.array(Image),
  })
  .meta({ id: 'ImagesResource' })
export type ImagesResource = z.infer<typeof ImagesResource>

/** What `GET /api/v1/images` answers: the caller's requests, newest first. */
export const ImagesList = z
  .object({
    requests: z.array(ImagesResource),
    next: z.string().optional().describe('Value of `before` for the next page; absent on the last one.'),
  })
  .meta({ id: 'ImagesList' })
export type ImagesList = z.infer<typeof ImagesList>

/** The seed of one image of a request: the first one's plus its index, within 32 bits. */
export function seedOf(first: number, index: number): number {
  return (first + index) % 2 ** 32
}
