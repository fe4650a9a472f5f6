import type { IncomingHttpHeaders } from 'node:http'
import multipart from '@fastify/multipart'
import { MAX_INPUT_BYTES, MAX_INPUT_CHARACTERS } from '@sdcpu/contract'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import { ApiError, statusOf } from '../api-error.ts'
import type { Caller } from '../caller.ts'
import { openEventStream } from '../event-stream.ts'
import type { Update } from '../follow-images.ts'
import { digestOf } from '../idempotency.ts'
import type { Images } from '../images.ts'
import type { JobEvents } from '../job-events.ts'
import type { Models } from '../models.ts'
import type { RequestRecord } from '../request-records.ts'
import { findMaxPixels } from '../system.ts'
import { onHangUp, waitForImages } from '../wait-for-images.ts'
import type { ZodApp } from '../zod-app.ts'
import { createLostCallers } from './lost-callers.ts'
import { type EventKind, OpenAiImages, toAnswer, toBase64, toFrame, toImageError } from './openai-answer.ts'
import { OpenAiError, setRetryHeaders, toOpenAiError } from './openai-error.ts'
import { EditBody, GenerateBody, modelAskedFor, toCreateImages } from './openai-request.ts'
import { createReadPreview } from './previews.ts'
import { FORM_LIMITS, readForm } from './read-form.ts'
import { sendSlowJson } from './slow-json.ts'
import { createPictureStream } from './stream-pictures.ts'

const PREFIX = '/v1'
const HEARTBEAT_MS = 15_000 // gateways drop what is silent for a minute or less
const FIELDS_BYTES = 64 * 1024 // what the native API takes apart from an image

// OpenAI's clients wait half a second before they try again, twice as long each time and at most 8; the rest is for the
// network, and for clients that do not count.
const FIRST_RETRY_MS = 500
const MAX_RETRY_MS = 8000
const GRACE_MS = 2500

const errors = { '4xx': OpenAiError, '5xx': OpenAiError }

const OpenAiModel = z
  .object({ id: z.string(), object: z.literal('model'), created: z.int(), owned_by: z.string() })
  .meta({ id: 'OpenAiModel' })
const OpenAiModels = z
  .object({ object: z.literal('list'), data: z.array(OpenAiModel) })
  .meta({ id: 'OpenAiModels' })
const ModelParams = z.object({ name: z.string().describe('Name of a model') })
const OwnedModelParams = ModelParams.extend({
  owner: z.string().describe("Whose it is, as in the hub's names"),
})

/** A request somebody waits for. */
type Visit = { record: RequestRecord; caller: Caller; digest: string }

export type OpenAiDeps = {
  redis: Redis
  prefix: string
  images: Images
  models: Models
  events: (model: string) => JobEvents
  callerOf: (request: FastifyRequest) => Caller
  /** Makes an error of what was thrown and notes it for logs and metrics. */
  noteError: (thrown: unknown, request: FastifyRequest) => ApiError
  logPrompts: boolean
  /** Milliseconds of silence after which a client that waits is sent something; 15 seconds when absent. */
  heartbeatMs?: number | undefined
}

/** Adds OpenAI's routes of images and models under `/v1`, which answer errors in OpenAI's shape. */
export function addOpenAiRoutes(app: ZodApp, deps: OpenAiDeps): void {
  void app.register(async (scope) => addRoutes(scope as ZodApp, deps), { prefix: PREFIX })
}

async function addRoutes(
  app: ZodApp,
  {
    redis,
    prefix,
    images,
    models,
    events,
    callerOf,
    noteError,
    logPrompts,
    heartbeatMs = HEARTBEAT_MS,
  }: OpenAiDeps,
): Promise<void> {
  const lostCallers = createLostCallers(redis, { prefix, log: app.log })
  const readPreview = createReadPreview(redis, prefix)
  app.addHook('onClose', () => lostCallers.close())

  await app.register(multipart, { limits: FORM_LIMITS })
  app.setErrorHandler((thrown, request, reply) => refuse(noteError(thrown, request), reply))
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0]!.slice(0, 100)
    return refuse(
      noteError(new ApiError('not_found', `there is no ${request.method} ${path}`), request),
      reply,
    )
  })

  app.post('/images/generations', {
    bodyLimit: FIELDS_BYTES + MAX_INPUT_CHARACTERS,
    schema: { body: GenerateBody, response: { 200: OpenAiImages, ...errors } },
    handler: async (request, reply) => {
      await draw(request, reply, { body: request.body, kind: 'image_generation' })
      return reply
    },
  })

  app.post('/images/edits', {
    bodyLimit: FIELDS_BYTES + MAX_INPUT_BYTES,
    schema: { body: EditBody, response: { 200: OpenAiImages, ...errors } },
    preValidation: async (request) => {
      request.body = (await readForm(request)) as typeof request.body // which is judged next
    },
    handler: async (request, reply) => {
      await draw(request, reply, { body: request.body, kind: 'image_edit' })
      return reply
    },
  })

  app.get('/models', {
    schema: { response: { 200: OpenAiModels, ...errors } },
    handler: async () => ({
      object: 'list' as const,
      data: (await models.list()).map(({ name }) => toOpenAiModel(name)),
    }),
  })
  app.get('/models/:name', {
    schema: { params: ModelParams, response: { 200: OpenAiModel, ...errors } },
    handler: ({ params: { name } }) => findModel(name),
  })
  // Clients that do not escape a name's slash.
  app.get('/models/:owner/:name', {
    schema: { params: OwnedModelParams, response: { 200: OpenAiModel, ...errors } },
    handler: ({ params: { owner, name } }) => findModel(`${owner}/${name}`),
  })

  async function findModel(name: string): Promise<z.infer<typeof OpenAiModel>> {
    return toOpenAiModel((await models.choose(name)).name)
  }

  async function draw(
    request: FastifyRequest,
    reply: FastifyReply,
    { body, kind }: { body: GenerateBody; kind: EventKind },
  ): Promise<void> {
    const visit = await begin(request, body)
    if (body.stream) return sendStream(request, reply, visit, kind)
    await sendSlowJson(reply, drawAll(request, reply, visit, body.response_format === 'url'), {
      heartbeatMs,
      toErrorBody: (thrown) => toBody(noteError(thrown, request)),
    })
  }

  /** Takes over a request like this whose caller was lost, or makes a new one. */
  async function begin(request: FastifyRequest, body: GenerateBody): Promise<Visit> {
    const caller = callerOf(request)
    const model = await models.choose(modelAskedFor(body))
    const maxPixels = await findMaxPixels(redis, { prefix, model: model.name })
    const asked = await toCreateImages(body, { model, maxPixels })
    const previews = (body.stream && body.partial_images) || undefined
    const digest = digestOf([caller.owner, caller.turn, asked, previews])
    const known = await lostCallers.takeOver(digest)
    const { id, request: drawn } = await images.create(asked, caller, {
      ...{ id: known, requestId: request.id, previews },
    })
    const { model: name, n, size, steps, prompt, negativePrompt } = drawn
    const isTakenOver = known !== undefined
    request.log.info(
      { id, model: name, n, size, steps, isTakenOver, ...(logPrompts && { prompt, negativePrompt }) },
      'accepted',
    )
    return { record: await images.findRecord(id, caller), caller, digest }
  }

  /**
   * Waits until all images are drawn. Where that ends before, a caller that is lost may come back for a moment; then what
   * is not drawn is canceled.
   * @throws what became of them otherwise
   */
  async function waitFor(
    request: FastifyRequest,
    reply: FastifyReply,
    { record, caller, digest }: Visit,
    onUpdate?: (update: Update) => void,
  ) {
    const hungUp = new AbortController()
    const forget = onHangUp(reply, () => hungUp.abort())
    const source = { images, events: events(record.request.model) }
    const leave = () =>
      lostCallers
        .leave(digest, record.id, {
          graceMs: graceOf(request.headers),
          cancel: async () => void (await images.cancel(record.id, caller)),
        })
        .catch((err) => request.log.warn({ err, id: record.id }, 'nobody waits for what is still drawn'))
    try {
      const ended = await waitForImages(source, record, { signal: hungUp.signal, onUpdate })
      if (!ended) throw new ApiError('canceled', 'the caller hung up')
      const fault = toImageError(ended)
      if (fault) throw new DrawingFault(fault)
      return ended
    } catch (error) {
      if (!(error instanceof DrawingFault)) await leave()
      throw error
    } finally {
      forget()
    }
  }

  async function drawAll(
    request: FastifyRequest,
    reply: FastifyReply,
    visit: Visit,
    isByUrl: boolean,
  ): Promise<OpenAiImages> {
    const drawn = await waitFor(request, reply, visit)
    return toAnswer(drawn, async ({ index, url }) => {
      if (isByUrl && url) return { url: `${request.protocol}://${request.host}${url}` }
      const { bytes } = await images.readBytes(drawn.id, index, visit.caller)
      return { b64_json: toBase64(bytes) }
    })
  }

  async function sendStream(
    request: FastifyRequest,
    reply: FastifyReply,
    visit: Visit,
    kind: EventKind,
  ): Promise<void> {
    const { record, caller } = visit
    const stream = openEventStream(reply, { heartbeatMs })
    const pictures = createPictureStream(stream, record, {
      kind,
      readPreview,
      readImage: async (index) => (await images.readBytes(record.id, index, caller)).bytes,
    })
    let unsubscribe = () => {}
    try {
      if (record.previews) {
        unsubscribe = await events(record.request.model).subscribe(record.id, ({ name, index }) => {
          if (name === 'preview') pictures.showPreview(index)
        })
        for (let index = 0; index < record.request.n; index++) pictures.showPreview(index) // of one taken over
      }
      await waitFor(request, reply, visit, pictures.update).finally(pictures.settle)
    } catch (thrown) {
      await stream.send(toFrame('error', toBody(noteError(thrown, request))))
    } finally {
      unsubscribe()
      stream.end()
    }
  }
}

/** Of images that could not be drawn; nothing is left to wait for. */
class DrawingFault extends ApiError {
  constructor({ code, message, category }: ApiError) {
    super(code, message, { category })
  }
}

function toBody(error: ApiError): OpenAiError {
  return toOpenAiError(error, error instanceof DrawingFault ? 'output' : 'input')
}

function refuse(error: ApiError, reply: FastifyReply): FastifyReply {
  setRetryHeaders(reply, error)
  if (error.code === 'unauthorized') reply.header('www-authenticate', 'Bearer')
  return reply.code(statusOf(error.code)).send(toBody(error))
}

/** How long a lost caller may take to come back. */
function graceOf(headers: IncomingHttpHeaders): number {
  const retries = Number(headers['x-stainless-retry-count'] ?? 0) || 0
  return GRACE_MS + Math.min(FIRST_RETRY_MS * 2 ** Math.max(0, retries), MAX_RETRY_MS)
}

// When a model came to be is not known, and nobody acts on it.
function toOpenAiModel(id: string): z.infer<typeof OpenAiModel> {
  const [owner] = id.split('/')
  return { id, object: 'model', created: 0, owned_by: owner === id ? 'local' : owner! }
}
