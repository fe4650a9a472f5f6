import { randomUUID } from 'node:crypto'
import {
  CreateImages,
  ErrorBody,
  type Image,
  type ImagesResource,
  type ImageTimings,
  MAX_IMAGES,
  mediaTypeOf,
} from '@sdcpu/contract'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { ApiError } from './api-error.ts'
import { type Caller, isKeyed } from './caller.ts'
import type { DrawImages } from './draw-images.ts'
import { ANYBODY, BODY_LIMIT_BYTES, Bytes, SignatureQuery } from './image-routes.ts'
import type { Images } from './images.ts'
import type { Links } from './links.ts'
import { sendWhenDone } from './send-when-done.ts'
import { onHangUp } from './wait-for-images.ts'
import type { ZodApp } from './zod-app.ts'

const errors = { '4xx': ErrorBody, '5xx': ErrorBody }
const RESTART_SECONDS = 2 // until another replica answers

const Text2ImageBody = z
  .object({
    prompt: CreateImages.shape.prompt,
    number: z
      .int({ error: (issue) => `number is ${JSON.stringify(issue.input)}; it must be a whole number` })
      .min(1, { error: (issue) => `number is ${issue.input}; the least is 1` })
      .max(MAX_IMAGES, { error: (issue) => `number is ${issue.input}; the limit is ${MAX_IMAGES}` })
      .default(1)
      .describe('How many images'),
  })
  .meta({ id: 'Text2ImageBody' })

const Text2ImageAnswer = z
  .object({
    id: z.string(),
    status: z.literal('success'),
    averageImageGenerationTimeSeconds: z.number().describe('Of `generationTimeSeconds` for one image'),
    generationTimeSeconds: z
      .number()
      .describe('From the request to the last image, the wait for a worker included'),
    meta: z.object({
      input: z.object({
        batch: z.int(),
        model: z.string(),
        number: z.int(),
        prompt: z.string(),
        size: z.string(),
        step: z.int(),
      }),
    }),
    output: z.array(
      z.object({
        latencySeconds: z.number().describe('For which the image was drawn, the wait before it left out'),
        url: z.string(),
      }),
    ),
  })
  .meta({ id: 'Text2ImageAnswer' })

const FileParams = z.object({
  id: z.string().describe('Id of a request'),
  file: z.string().describe('`N_0.png`, N being the number of the image, from 0'),
})

/**
 * Adds `POST /api/text2image` and the files it leads to, in the shape of the service this one follows, as it is
 * remembered: no public source confirms it.
 */
export function addText2ImageRoutes(
  app: ZodApp,
  {
    images,
    draw,
    links,
    callerOf,
    toErrorBody,
    closing,
    logPrompts,
    heartbeatMs,
  }: {
    images: Images
    draw: DrawImages
    links: Links
    callerOf: (request: FastifyRequest) => Caller
    /** What is told of a failure once the answer has begun. */
    toErrorBody: (thrown: unknown, request: FastifyRequest) => unknown
    /** Aborted when the API must not wait any longer. */
    closing: AbortSignal
    logPrompts: boolean
    heartbeatMs: number
  },
): void {
  app.post('/api/text2image', {
    bodyLimit: BODY_LIMIT_BYTES,
    schema: { body: Text2ImageBody, response: { 200: Text2ImageAnswer, ...errors } },
    handler: async (request, reply) => {
      const hungUp = new AbortController()
      const forget = onHangUp(reply, () => hungUp.abort())
      const signal = AbortSignal.any([hungUp.signal, closing])
      return sendWhenDone(reply, answer(request, signal).finally(forget), {
        heartbeatMs,
        toErrorBody: (thrown) => toErrorBody(thrown, request),
      })
    },
  })

  async function answer(
    request: FastifyRequest<{ Body: z.infer<typeof Text2ImageBody> }>,
    signal: AbortSignal,
  ): Promise<z.infer<typeof Text2ImageAnswer>> {
    const startedAt = performance.now()
    const { prompt, number } = request.body
    const caller = callerOf(request)
    const id = randomUUID()
    const create = CreateImages.parse({ prompt, n: number })
    const resource = await draw({
      ...{ id, caller, signal, holdMs: 0 },
      async create() {
        const resource = await images.create(create, caller, { id, requestId: request.id })
        const { model, n, size, steps } = resource.request
        request.log.info({ id, model, n, size, steps, ...(logPrompts && { prompt }) }, 'accepted')
        return resource
      },
    })
    const seconds = (performance.now() - startedAt) / 1000
    const drawn = readDrawn(resource)
    const { model, size, steps } = drawn.request
    const base = `${request.protocol}://${request.host}/images/${id}`
    const output = drawn.images.map(async ({ index, timingsMs }) => {
      const signature = isKeyed(caller.owner) ? `?signature=${await links.sign(id, index)}` : ''
      return { latencySeconds: round(secondsOf(timingsMs)), url: `${base}/${index}_0.png${signature}` }
    })
    return {
      averageImageGenerationTimeSeconds: round(seconds / number),
      generationTimeSeconds: round(seconds),
      id,
      meta: { input: { batch: 1, model, number, prompt, size, step: steps } },
      output: await Promise.all(output),
      status: 'success',
    }
  }

  function readDrawn(resource: ImagesResource | undefined): ImagesResource {
    const fault = resource?.images.find(({ status }) => status !== 'succeeded')
    if (resource && !fault) return resource
    if (closing.aborted)
      throw new ApiError('unavailable', 'the API was shut down', { retryAfterSeconds: RESTART_SECONDS })
    throw toError(fault)
  }

  app.get('/images/:id/:file(^\\d+_0\\.png$)', {
    schema: { params: FileParams, querystring: SignatureQuery, response: { 200: Bytes, ...errors } },
    handler: async (request, reply) => {
      const { id, file } = request.params
      const index = Number.parseInt(file, 10)
      const { signature } = request.query
      const isSigned = signature !== undefined && (await links.isSigned(id, index, signature))
      const { bytes, format } = await images.readBytes(id, index, isSigned ? ANYBODY : callerOf(request))
      return reply
        .header('cache-control', 'public, max-age=31536000, immutable')
        .type(mediaTypeOf(format))
        .send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    },
  })
}

function toError(image: Image | undefined): ApiError {
  if (!image?.error) return new ApiError('canceled', 'the request was canceled before all was drawn')
  const { code, message, category } = image.error
  return new ApiError(code, message, category === undefined ? {} : { category })
}

function secondsOf(timings: ImageTimings | undefined): number {
  if (!timings) return 0
  const { encodePrompts, encodeImage = 0, steps, decode, encodePng } = timings
  return [encodePrompts, encodeImage, ...steps, decode, encodePng].reduce((sum, ms) => sum + ms, 0) / 1000
}

const round = (seconds: number): number => Math.round(seconds * 1000) / 1000
