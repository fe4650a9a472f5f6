import multipart from '@fastify/multipart'
import { MAX_INPUT_BYTES, MAX_INPUT_CHARACTERS } from '@sdcpu/contract'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { ApiError, statusOf } from '../api-error.ts'
import { openEventStream } from '../event-stream.ts'
import type { Models } from '../models.ts'
import { HEARTBEAT_MS, sendWhenDone } from '../send-when-done.ts'
import type { ZodApp } from '../zod-app.ts'
import { type EventKind, OpenAiImages, toAnswer, toBase64, toFrame } from './openai-answer.ts'
import { OpenAiError, setRetryHeaders, toOpenAiError } from './openai-error.ts'
import { EditBody, GenerateBody } from './openai-request.ts'
import { createReadPreview } from './previews.ts'
import { FORM_LIMITS, readForm } from './read-form.ts'
import { createPictureStream } from './stream-pictures.ts'
import { createVisits, DrawingFault, type Visit, type VisitDeps } from './visits.ts'

const PREFIX = '/v1'
const FIELDS_BYTES = 64 * 1024 // what the native API takes apart from an image

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

export type OpenAiDeps = VisitDeps & {
  models: Models
  /** Makes an error of what was thrown and notes it for logs and metrics. */
  noteError: (thrown: unknown, request: FastifyRequest) => ApiError
  /** Milliseconds of silence after which a client that waits is sent something; 15 seconds when absent. */
  heartbeatMs?: number | undefined
}

/** Adds OpenAI's routes of images and models under `/v1`, which answer errors in OpenAI's shape. */
export function addOpenAiRoutes(app: ZodApp, deps: OpenAiDeps): void {
  void app.register(async (scope) => addRoutes(scope as ZodApp, deps), { prefix: PREFIX })
}

async function addRoutes(
  app: ZodApp,
  { noteError, heartbeatMs = HEARTBEAT_MS, ...deps }: OpenAiDeps,
): Promise<void> {
  const { redis, prefix, images, models, events } = deps
  const visits = createVisits(deps, app.log)
  const readPreview = createReadPreview(redis, prefix)
  app.addHook('onClose', () => visits.close())

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
    const visit = await visits.begin(request, body)
    if (body.stream) return sendStream(request, reply, visit, kind)
    await sendWhenDone(reply, drawAll(request, reply, visit, body.response_format === 'url'), {
      heartbeatMs,
      toErrorBody: (thrown) => toBody(noteError(thrown, request)),
    })
  }

  async function drawAll(
    request: FastifyRequest,
    reply: FastifyReply,
    visit: Visit,
    isByUrl: boolean,
  ): Promise<OpenAiImages> {
    const drawn = await visits.wait(request, reply, visit)
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
        const subscribing = events(record.request.model).subscribe(record.id, ({ name, index }) => {
          if (name === 'preview') pictures.showPreview(index)
        })
        // Without previews, should Redis be away for a moment, rather than without a picture.
        unsubscribe = await subscribing.catch(() => unsubscribe)
        for (let index = 0; index < record.request.n; index++) pictures.showPreview(index) // of one taken over
      }
      await visits.wait(request, reply, visit, pictures.update).finally(pictures.settle)
    } catch (thrown) {
      await stream.send(toFrame('error', toBody(noteError(thrown, request))))
    } finally {
      unsubscribe()
      stream.end()
    }
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

// When a model came to be is not known, and nobody acts on it.
function toOpenAiModel(id: string): z.infer<typeof OpenAiModel> {
  const [owner] = id.split('/')
  return { id, object: 'model', created: 0, owned_by: owner === id ? 'local' : owner! }
}
