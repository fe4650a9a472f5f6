import { randomBytes, randomUUID } from 'node:crypto'
import { type ImagesResource, MAX_INPUT_CHARACTERS, type Model } from '@sdcpu/contract'
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { ApiError } from '../api-error.ts'
import type { Caller } from '../caller.ts'
import type { DrawImages } from '../draw-images.ts'
import { BODY_LIMIT_BYTES } from '../image-routes.ts'
import type { Images } from '../images.ts'
import { resolveRequest } from '../resolve-request.ts'
import { sendWhenDone } from '../send-when-done.ts'
import { onHangUp } from '../wait-for-images.ts'
import type { ZodApp } from '../zod-app.ts'
import { A1111_ERRORS } from './a1111-error.ts'
import type { Checkpoint } from './checkpoint.ts'
import { type GenerationAnswer, type Picture, toAnswer } from './generation-answer.ts'
import { Img2ImgBody, Txt2ImgBody } from './generation-body.ts'
import { countImages, type Settled, settleGeneration } from './settle-generation.ts'
import type { Task, Tasks } from './tasks.ts'

const SEEN_MS = 10_000 // a task is confirmed as often
const RESTART_SECONDS = 2 // until another replica answers

const Answer = z
  .object({
    images: z.array(z.string()).describe('PNG files in base64'),
    parameters: z.record(z.string(), z.unknown()).describe('The request'),
    info: z.string().describe('What was drawn: JSON in a text'),
  })
  .meta({ id: 'GenerationAnswer' })

type Job = Task['job']
type Asked = {
  job: Job
  caller: Caller
  signal: AbortSignal
  requestId: string
  log: FastifyBaseLogger
}

/** Adds `txt2img` and `img2img`, which wait for their images and send blanks meanwhile. */
export function addGenerationRoutes(
  app: ZodApp,
  {
    images,
    draw,
    tasks,
    checkpoint,
    callerOf,
    toErrorBody,
    closing,
    logPrompts,
    holdMs,
    heartbeatMs,
  }: {
    images: Images
    draw: DrawImages
    tasks: Tasks
    checkpoint: Checkpoint
    callerOf: (request: FastifyRequest) => Caller
    /** What is told of a failure once the answer has begun. */
    toErrorBody: (thrown: unknown, request: FastifyRequest) => unknown
    /** Aborted when the API must not wait any longer. */
    closing: AbortSignal
    logPrompts: boolean
    holdMs: number
    heartbeatMs: number
  },
): void {
  async function generate(
    body: Txt2ImgBody | Img2ImgBody,
    { job, caller, signal, requestId, log }: Asked,
  ): Promise<GenerationAnswer> {
    const id = randomUUID()
    const task: Task = {
      ...{ id, job, n: countImages(body), startedAtMs: Date.now(), seenAtMs: Date.now() },
      taskId:
        body.force_task_id ||
        `task(${job === 'scripts_txt2img' ? 'txt2img' : 'img2img'}-${randomBytes(8).toString('hex')})`,
    }
    let attempt: { settled: Settled; model: Model } | undefined
    const parameters = echo(body)
    await tasks.keep(caller.turn, task)
    const confirming = setInterval(() => void tasks.keep(caller.turn, task).catch(() => {}), SEEN_MS)
    try {
      const resource = await draw({
        ...{ id, caller, signal, holdMs },
        characters: 'init_images' in body ? (body.init_images[0]?.length ?? 0) : 0,
        isGivenUp: () => tasks.isGivenUp(id),
        async create() {
          const model = await checkpoint.of(caller, titleIn(body.override_settings))
          const settled = settleGeneration(body, model)
          const { image: _, ...create } = settled.create
          attempt = { settled: { ...settled, create }, model }
          const resource = await images.create(settled.create, caller, { id, requestId })
          logCreated(log, resource)
          // It lies in Redis now; as many as the queue has places would not fit into memory.
          if ('init_images' in body && !body.include_init_images) body.init_images = []
          return resource
        },
      })
      if (!attempt) throw new ApiError('canceled', 'the request was interrupted before a model was there')
      const { settled, model } = attempt
      const drawn = resource
        ? { ...resource, pictures: await readPictures(resource, caller) }
        : {
            request: resolveRequest(settled.create, model),
            createdAt: new Date().toISOString(),
            pictures: [],
          }
      return await toAnswer(drawn, { settled, parameters, sendsImages: body.send_images })
    } finally {
      clearInterval(confirming)
      await tasks.end(caller.turn, task).catch(() => {}) // a request that has ended is not taken for running without it
    }
  }

  function logCreated(log: FastifyBaseLogger, { id, request }: ImagesResource): void {
    const { model, n, size, steps, prompt, negativePrompt } = request
    log.info({ id, model, n, size, steps, ...(logPrompts && { prompt, negativePrompt }) }, 'accepted')
  }

  async function readPictures({ id, images: all }: ImagesResource, caller: Caller): Promise<Picture[]> {
    const succeeded = all.filter(({ status }) => status === 'succeeded')
    const failed = all.find(({ status }) => status === 'failed')
    if (closing.aborted && succeeded.length < all.length)
      throw new ApiError('unavailable', 'the API was shut down', { retryAfterSeconds: RESTART_SECONDS })
    if (succeeded.length === 0 && failed?.error) {
      const { code, message, category } = failed.error
      throw new ApiError(code, message, category === undefined ? {} : { category })
    }
    const pictures = succeeded.map(async (image) => {
      const { bytes } = await images.readBytes(id, image.index, caller)
      return { image, bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) }
    })
    return Promise.all(pictures)
  }

  async function answer(
    request: FastifyRequest<{ Body: Txt2ImgBody | Img2ImgBody }>,
    reply: FastifyReply,
    job: Job,
  ): Promise<void> {
    const hungUp = new AbortController()
    const forget = onHangUp(reply, () => hungUp.abort())
    const signal = AbortSignal.any([hungUp.signal, closing])
    const { id: requestId, log } = request
    const done = generate(request.body, { job, caller: callerOf(request), signal, requestId, log })
    return sendWhenDone(reply, done.finally(forget), {
      heartbeatMs,
      toErrorBody: (thrown) => toErrorBody(thrown, request),
    })
  }

  app.post('/sdapi/v1/txt2img', {
    bodyLimit: BODY_LIMIT_BYTES,
    schema: { body: Txt2ImgBody, response: { 200: Answer, ...A1111_ERRORS } },
    handler: (request, reply) => answer(request, reply, 'scripts_txt2img'),
  })

  app.post('/sdapi/v1/img2img', {
    bodyLimit: BODY_LIMIT_BYTES + MAX_INPUT_CHARACTERS,
    schema: { body: Img2ImgBody, response: { 200: Answer, ...A1111_ERRORS } },
    handler: (request, reply) => answer(request, reply, 'scripts_img2img'),
  })
}

function titleIn(settings: Record<string, unknown>): string | undefined {
  const { sd_model_checkpoint: title } = settings
  return typeof title === 'string' && title !== '' ? title : undefined
}

function echo(body: Txt2ImgBody | Img2ImgBody): object {
  if (!('init_images' in body) || body.include_init_images) return body
  return { ...body, init_images: null, mask: null }
}
