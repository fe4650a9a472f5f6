import { randomUUID } from 'node:crypto'
import {
  type CreateImages,
  ErrorCode,
  type Image,
  ImageProgress,
  ImageRequest,
  ImageResult,
  type ImagesResource,
  imageBytesKey,
  imageJobId,
  imageRequestKey,
  knownForSeconds,
  parseSize,
  seedOf,
} from '@sdcpu/contract'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import { ApiError, fixedMessage } from './api-error.ts'
import { toImageStatus, toRequestStatus } from './image-status.ts'
import type { Models } from './models.ts'
import type { Queues } from './queues.ts'
import { reply } from './redis.ts'
import { resolveRequest } from './resolve-request.ts'

const ATTEMPTS = 2 // a failure that repeats itself will not go away
const FULL_RETRY_AFTER_SECONDS = 10 // a few batches, which is when there is room again

/** A request as it is kept. */
const RequestRecord = z.object({ id: z.string(), createdAt: z.string(), request: ImageRequest })
type RequestRecord = z.infer<typeof RequestRecord>

export type Images = {
  /** @throws `invalid_request`, `model_not_found`, `model_not_ready`, `queue_full`, `unavailable` */
  create(body: CreateImages): Promise<ImagesResource>
  /** @throws `image_not_found`, `unavailable` */
  find(id: string): Promise<ImagesResource>
  /** @throws `image_not_found`, `image_not_ready`, `expired`, `unavailable` */
  readBytes(id: string, index: number): Promise<Buffer>
}

/** Admits, queues and reports images. */
export function createImages({
  redis,
  queues,
  models,
  prefix,
  queueLimit,
  resultTtlSeconds,
}: {
  redis: Redis
  queues: Queues
  models: Models
  prefix: string
  queueLimit: number
  resultTtlSeconds: number
}): Images {
  // Every method reads with `redis` first: it fails at once while Redis is away, where the queue would wait.

  // Two requests at the same moment may both be admitted to the last place: the limit guards against a
  // flood, and a lock for exactness would cost every request.
  async function admit({ model, n }: ImageRequest): Promise<void> {
    const waiting = await reply(queues(model).getWaitingCount())
    if (waiting + n <= queueLimit) return
    throw new ApiError(
      'queue_full',
      `${waiting} images are waiting and the limit is ${queueLimit}; there is no room for ${n} more`,
      { retryAfterSeconds: FULL_RETRY_AFTER_SECONDS },
    )
  }

  function enqueue({ id, request }: RequestRecord): Promise<unknown> {
    const { model, n, seed, size } = request
    const { prompt, steps, sampler, guidance, negativePrompt, emphasis, timestepSpacing } = request
    const drawn = { prompt, steps, sampler, guidance, negativePrompt, emphasis, timestepSpacing }
    const age = knownForSeconds(resultTtlSeconds)
    return queues(model).addBulk(
      Array.from({ length: n }, (_, index) => ({
        name: 'image',
        data: { version: 2, id, index, ...drawn, seed: seedOf(seed, index), ...parseSize(size) },
        opts: {
          jobId: imageJobId(id, index),
          attempts: ATTEMPTS,
          removeOnComplete: { age },
          removeOnFail: { age },
        },
      })),
    )
  }

  async function findRecord(id: string): Promise<RequestRecord> {
    const record = await reply(redis.get(imageRequestKey(prefix, id)))
    if (record === null) throw new ApiError('image_not_found', `there are no images with the id ${id}`)
    return RequestRecord.parse(JSON.parse(record))
  }

  async function findImage({ id, request }: RequestRecord, index: number): Promise<Image> {
    const jobId = imageJobId(id, index)
    const queue = queues(request.model)
    const state = await reply(queue.getJobState(jobId)) // before the job, which then knows at least as much
    const job = await reply(queue.getJob(jobId))
    const progress = ImageProgress.safeParse(job?.progress).data
    const status = toImageStatus(state, progress !== undefined)
    const image = { index, seed: seedOf(request.seed, index), status, steps: request.steps }
    if (status === 'running') return { ...image, step: progress?.step }
    if (status === 'failed') return { ...image, error: toImageError(job?.failedReason) }
    if (status !== 'succeeded') return image
    const {
      seed: _seed,
      steps: _steps,
      batchSize: _batchSize,
      ...result
    } = ImageResult.parse(job?.returnvalue)
    const isKept = await reply(redis.exists(imageBytesKey(prefix, id, index)))
    return {
      ...image,
      url: isKept ? `/api/v1/images/${id}/${index}.png` : undefined,
      ...result,
    }
  }

  return {
    async create(body) {
      const request = resolveRequest(body, await models.choose(body.model))
      await admit(request)
      const record: RequestRecord = { id: randomUUID(), createdAt: new Date().toISOString(), request }
      const ttlSeconds = knownForSeconds(resultTtlSeconds)
      // Before the jobs, so that no image is ever drawn that cannot be found.
      await reply(redis.set(imageRequestKey(prefix, record.id), JSON.stringify(record), 'EX', ttlSeconds))
      await reply(enqueue(record))
      return toResource(
        record,
        Array.from({ length: request.n }, (_, index) => toQueued(request, index)),
      )
    },

    async find(id) {
      const record = await findRecord(id)
      const indexes = Array.from({ length: record.request.n }, (_, index) => index)
      return toResource(record, await Promise.all(indexes.map((index) => findImage(record, index))))
    },

    async readBytes(id, index) {
      const bytes = await reply(redis.getBuffer(imageBytesKey(prefix, id, index)))
      if (bytes) return bytes
      const record = await findRecord(id)
      if (index >= record.request.n)
        throw new ApiError(
          'image_not_found',
          `there is no image ${index} in ${id}; it has ${record.request.n}`,
        )
      const { status } = await findImage(record, index)
      if (status === 'failed')
        throw new ApiError('image_not_found', `image ${index} of ${id} could not be drawn`)
      if (status !== 'succeeded')
        throw new ApiError('image_not_ready', `image ${index} of ${id} is ${status}`)
      throw new ApiError(
        'expired',
        `image ${index} of ${id} is gone; images are kept for ${resultTtlSeconds} seconds`,
      )
    },
  }
}

function toResource({ id, createdAt, request }: RequestRecord, images: Image[]): ImagesResource {
  return { id, status: toRequestStatus(images.map(({ status }) => status)), createdAt, request, images }
}

function toQueued({ seed, steps }: ImageRequest, index: number): Image {
  return { index, seed: seedOf(seed, index), status: 'queued', steps }
}

// Workers fail a job with one of our codes; anything else is BullMQ's own reason, such as a job that is gone.
function toImageError(failedReason: string | undefined): NonNullable<Image['error']> {
  if (failedReason === undefined)
    return { code: 'expired', message: 'Nothing is known of this image any more.' }
  const code = ErrorCode.safeParse(failedReason).data ?? 'generation_failed'
  return { code, message: fixedMessage(code) }
}
