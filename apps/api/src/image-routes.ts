import { hash } from 'node:crypto'
import {
  CreateImages,
  ErrorBody,
  extensionOf,
  IMAGE_FORMATS,
  ImagesList,
  ImagesResource,
  isTerminal,
  MAX_INPUT_CHARACTERS,
  mediaTypeOf,
} from '@sdcpu/contract'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { ApiError } from './api-error.ts'
import type { Caller } from './caller.ts'
import { sendEventStream } from './event-stream.ts'
import { END, followImages } from './follow-images.ts'
import type { Idempotency } from './idempotency.ts'
import type { Images } from './images.ts'
import { isEventId, type JobEvents } from './job-events.ts'
import type { Links } from './links.ts'
import type { OpenStreams } from './open-streams.ts'
import { ClientHeaders, CreateHeaders, readWaitSeconds } from './request-headers.ts'
import { onHangUp, waitForImages } from './wait-for-images.ts'
import type { Webhooks } from './webhooks.ts'
import type { ZodApp } from './zod-app.ts'

const errors = { '4xx': ErrorBody, '5xx': ErrorBody }
/** Two prompts of 2000 characters, each escaped as two \uXXXX, and the rest but for an image to begin with. */
export const BODY_LIMIT_BYTES = 64 * 1024

const MAX_LISTED = 100 // each costs a few questions to Redis

// Answers without JSON; they say what they are where the OpenAPI document is made.
const Empty = z.undefined()
export const Bytes = z.custom<Buffer>()
const Stream = z.custom<string>()

// An id we never made is answered like one we forgot.
const IdParams = z.object({ id: z.string().describe('Id of a request') })
const EXTENSIONS = IMAGE_FORMATS.map(extensionOf)
const FileParams = IdParams.extend({
  index: z.coerce.number().int().describe('Number of the image, from 0'),
  extension: z.enum(EXTENSIONS as [string, ...string[]]).describe("The request's format: png, jpg or webp"),
})
/** What makes a link good for whoever has it. */
export const SignatureQuery = z.object({
  signature: z
    .string()
    .max(100)
    .optional()
    .describe('Part of the `url` of an image where requests need a key'),
})
/** Whoever has a signed link may follow it. */
export const ANYBODY = { owner: undefined, isStrict: false }
const ListQuery = z.object({
  limit: z.coerce
    .number({ error: 'limit must be a whole number' })
    .int({ error: 'limit must be a whole number' })
    .min(1, { error: (issue) => `limit is ${issue.input}; the least is 1` })
    .max(MAX_LISTED, { error: (issue) => `limit is ${issue.input}; the limit is ${MAX_LISTED}` })
    .default(20),
  before: z.string().optional().describe('`next` of the page before'),
})
const EventsHeaders = z.looseObject({
  'last-event-id': z
    .string()
    .optional()
    .describe('Id of the last event received; what came after is sent again'),
})

function tagOf(resource: ImagesResource): string {
  return `"${hash('sha256', JSON.stringify(resource), 'base64url').slice(0, 22)}"`
}

/** Adds the native routes under `/api/v1/images`. */
export function addImageRoutes(
  app: ZodApp,
  {
    images,
    webhooks,
    events,
    idempotency,
    links,
    streams,
    logPrompts,
    callerOf,
  }: {
    images: Images
    webhooks: Webhooks
    events: (model: string) => JobEvents
    idempotency: Idempotency
    links: Links
    streams: OpenStreams
    logPrompts: boolean
    callerOf: (request: FastifyRequest) => Caller
  },
): void {
  app.post('/api/v1/images', {
    bodyLimit: BODY_LIMIT_BYTES + MAX_INPUT_CHARACTERS,
    schema: {
      headers: ClientHeaders.extend(CreateHeaders.shape),
      body: CreateImages,
      response: { 200: ImagesResource, 202: ImagesResource, ...errors },
    },
    handler: async (request, reply) => {
      const caller = callerOf(request)
      const { webhookUrl } = request.body
      if (webhookUrl) webhooks.check(webhookUrl)
      const key = request.headers['idempotency-key']
      const claim =
        key === undefined
          ? undefined
          : await idempotency.claim({ key, owner: caller.owner, body: request.body })
      let resource = await images.create(request.body, caller, { ...claim, requestId: request.id })
      if (webhookUrl) await webhooks.expect(resource.id, webhookUrl)
      logCreated(request, resource)
      reply.header('location', `/api/v1/images/${resource.id}`)
      const waitSeconds = readWaitSeconds(request.headers.prefer)
      if (waitSeconds !== undefined) {
        reply.header('preference-applied', `wait=${waitSeconds}`)
        resource = await waitFor(resource, caller, {
          waitSeconds,
          reply,
          // With a key the caller is about to ask again.
          cancelsOnHangUp: key === undefined,
        })
      }
      return reply.code(isTerminal(resource.status) ? 200 : 202).send(resource)
    },
  })

  app.get('/api/v1/images', {
    schema: { headers: ClientHeaders, querystring: ListQuery, response: { 200: ImagesList, ...errors } },
    handler: async (request, reply) => {
      const { owner } = callerOf(request)
      if (owner === undefined)
        throw new ApiError(
          'invalid_request',
          'X-Client-Token is missing; requests are listed by the token they were made with',
        )
      return reply.header('cache-control', 'no-store').send(await images.list(owner, request.query))
    },
  })

  app.get('/api/v1/images/:id', {
    schema: { params: IdParams, response: { 200: ImagesResource, 304: Empty, ...errors } },
    handler: async (request, reply) => {
      const resource = await images.find(request.params.id, callerOf(request))
      // Whoever polls asks many times for one change, and says by the tag what it knows already.
      const etag = tagOf(resource)
      reply.header('cache-control', 'private, no-cache').header('etag', etag)
      if (request.headers['if-none-match'] === etag) return reply.code(304).send()
      return reply.send(resource)
    },
  })

  app.get('/api/v1/images/:id/events', {
    schema: { params: IdParams, headers: EventsHeaders, response: { 200: Stream, 204: Empty, ...errors } },
    handler: async (request, reply) => {
      const record = await images.findRecord(request.params.id, callerOf(request))
      const lastEventId = request.headers['last-event-id']
      // A browser's EventSource comes back after the last event, and stops at an answer without content.
      if (lastEventId === END) return reply.code(204).send()
      if (lastEventId !== undefined && !isEventId(lastEventId))
        throw new ApiError(
          'invalid_request',
          `Last-Event-ID is "${lastEventId.slice(0, 40)}"; it must be the id of an event`,
        )
      await streams.run(reply, (signal) =>
        sendEventStream(
          reply,
          followImages({ images, events: events(record.request.model) }, record, { lastEventId, signal }),
        ),
      )
      return reply
    },
  })

  app.post('/api/v1/images/:id/cancel', {
    schema: { params: IdParams, response: { 200: ImagesResource, ...errors } },
    handler: (request) => images.cancel(request.params.id, callerOf(request)),
  })

  app.delete('/api/v1/images/:id', {
    schema: { params: IdParams, response: { 204: Empty, ...errors } },
    handler: async (request, reply) => {
      await images.remove(request.params.id, callerOf(request))
      return reply.code(204).send()
    },
  })

  app.get(`/api/v1/images/:id/:index(^\\d+).:extension(^(?:${EXTENSIONS.join('|')})$)`, {
    schema: {
      params: FileParams,
      querystring: SignatureQuery,
      response: { 200: Bytes, 304: Empty, ...errors },
    },
    handler: async (request, reply) => {
      const { id, index, extension } = request.params
      const { signature } = request.query
      const isSigned = signature !== undefined && (await links.isSigned(id, index, signature))
      const { bytes, format } = await images.readBytes(id, index, isSigned ? ANYBODY : callerOf(request))
      if (extension !== extensionOf(format))
        throw new ApiError(
          'image_not_found',
          `image ${index} of ${id} is a ${format}; ask for ${index}.${extensionOf(format)}`,
        )
      // An id and an index are drawn from one seed, once: they never get other bytes.
      const etag = `"${id}-${index}"`
      reply.header('cache-control', 'public, max-age=31536000, immutable').header('etag', etag)
      if (request.headers['if-none-match'] === etag) return reply.code(304).send()
      return reply
        .type(mediaTypeOf(format))
        .send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    },
  })

  function logCreated(
    { log, body }: FastifyRequest<{ Body: CreateImages }>,
    { id, request }: ImagesResource,
  ) {
    const { model, n, size, steps } = request
    const { prompt, negativePrompt } = body
    log.info({ id, model, n, size, steps, ...(logPrompts && { prompt, negativePrompt }) }, 'accepted')
  }

  /** Waits until a request has ended, its time is up, or its caller hangs up, which cancels what is not drawn. */
  async function waitFor(
    resource: ImagesResource,
    caller: Caller,
    {
      waitSeconds,
      reply,
      cancelsOnHangUp,
    }: { waitSeconds: number; reply: FastifyReply; cancelsOnHangUp: boolean },
  ): Promise<ImagesResource> {
    const record = await images.findRecord(resource.id, caller)
    const hungUp = new AbortController()
    const forget = onHangUp(reply, () => hungUp.abort())
    const signal = AbortSignal.any([hungUp.signal, AbortSignal.timeout(waitSeconds * 1000)])
    const source = { images, events: events(record.request.model) }
    const ended = await waitForImages(source, record, { signal }).finally(forget)
    if (ended) return ended
    return hungUp.signal.aborted && cancelsOnHangUp
      ? images.cancel(resource.id, caller)
      : images.find(resource.id, caller)
  }
}
