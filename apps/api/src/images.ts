import { randomUUID } from 'node:crypto'
import {
  type CreateImages,
  ErrorCode,
  extensionOf,
  type Image,
  type ImageFormat,
  ImageProgress,
  type ImageRequest,
  ImageResult,
  type ImagesList,
  type ImagesResource,
  imageBytesKey,
  imageJobId,
  knownForSeconds,
  parseSize,
  seedOf,
} from '@sdcpu/contract'
import type { Redis } from 'ioredis'
import { ApiError, fixedMessage } from './api-error.ts'
import { type Caller, mayAccess } from './caller.ts'
import { cancelJobs } from './cancel-jobs.ts'
import { toImageStatus, toRequestStatus } from './image-status.ts'
import type { Models } from './models.ts'
import type { Queues } from './queues.ts'
import { reply } from './redis.ts'
import { type RequestRecord, type RequestRecords, unknownId } from './request-records.ts'
import { resolveRequest } from './resolve-request.ts'

const ATTEMPTS = 2 // a failure that repeats itself will not go away
const FULL_RETRY_AFTER_SECONDS = 10 // a few batches, which is when there is room again

export type Images = {
  /**
   * `id` is a new one when absent.
   * @throws `invalid_request`, `model_not_found`, `model_not_ready`, `queue_full`, `unavailable`
   */
  create(body: CreateImages, caller: Caller, id?: string): Promise<ImagesResource>
  /** @throws `image_not_found`, `unavailable` */
  find(id: string, caller: Caller): Promise<ImagesResource>
  /** Newest first. @throws `invalid_request` when `before` is no cursor, `unavailable` */
  list(owner: string, page: { limit: number; before?: string }): Promise<ImagesList>
  /** Cancels what is not drawn yet. @throws `image_not_found`, `unavailable` */
  cancel(id: string, caller: Caller): Promise<ImagesResource>
  /** Cancels what is not drawn yet, and forgets the rest. @throws `image_not_found`, `unavailable` */
  remove(id: string, caller: Caller): Promise<void>
  /** One image of a request, as it is now. */
  describe(record: RequestRecord, index: number): Promise<Image>
  /** A whole request, as it is now. */
  describeAll(record: RequestRecord): Promise<ImagesResource>
  /** @throws `image_not_found`, `unavailable` */
  findRecord(id: string, caller: Caller): Promise<RequestRecord>
  /** @throws `image_not_found`, `image_not_ready`, `expired`, `unavailable` */
  readBytes(id: string, index: number, caller: Caller): Promise<{ bytes: Buffer; format: ImageFormat }>
}

/** Admits, queues and reports images. */
export function createImages({
  redis,
  queues,
  models,
  prefix,
  queueLimit,
  resultTtlSeconds,
  records,
}: {
  redis: Redis
  queues: Queues
  models: Models
  prefix: string
  queueLimit: number
  resultTtlSeconds: number
  records: RequestRecords
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

  function enqueue({ id, request }: RequestRecord, indexes = indexesOf(request)): Promise<unknown> {
    const { model, n: _, seed, size, ...drawn } = request
    const age = knownForSeconds(resultTtlSeconds)
    return queues(model).addBulk(
      indexes.map((index) => ({
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

  async function findRecord(id: string, caller: Caller): Promise<RequestRecord> {
    const record = await records.find(id)
    if (!mayAccess(caller, record.owner)) throw unknownId(id)
    return record
  }

  async function describeAll(record: RequestRecord): Promise<ImagesResource> {
    const canceled = await records.findCanceled(record.id)
    const describing = indexesOf(record.request).map((index) =>
      describeImage(record, index, canceled.has(index)),
    )
    return toResource(record, await Promise.all(describing))
  }

  async function describeImage(
    { id, request }: RequestRecord,
    index: number,
    isCanceled: boolean,
  ): Promise<Image> {
    if (isCanceled) return { ...toQueued(request, index), status: 'canceled' }
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
      url: isKept ? `/api/v1/images/${id}/${index}.${extensionOf(request.format)}` : undefined,
      ...result,
    }
  }

  // A request whose caller lost the answer may have lost its jobs, too: Redis can go away between the two.
  async function resume(record: RequestRecord): Promise<ImagesResource> {
    const resource = await describeAll(record)
    const lost = resource.images.filter(({ error }) => error?.code === 'expired')
    if (lost.length === 0) return resource
    await reply(
      enqueue(
        record,
        lost.map(({ index }) => index),
      ),
    )
    return describeAll(record)
  }

  async function cancel(record: RequestRecord): Promise<void> {
    const { model, n } = record.request
    await cancelJobs({ redis, queue: queues(model), prefix, resultTtlSeconds }, { id: record.id, n })
  }

  return {
    findRecord,
    describeAll,

    async create(body, caller, id = randomUUID()) {
      const known = await records.findMaybe(id)
      if (known) return resume(known)
      const request = resolveRequest(body, await models.choose(body.model))
      await admit(request)
      const record: RequestRecord = { id, createdAt: new Date().toISOString(), owner: caller.owner, request }
      // Before the jobs, so that no image is ever drawn that cannot be found.
      if (!(await records.save(record))) return resume(await records.find(id))
      await reply(enqueue(record))
      const images = indexesOf(request).map((index) => toQueued(request, index))
      return toResource(record, images)
    },

    async find(id, caller) {
      return describeAll(await findRecord(id, caller))
    },

    async list(owner, page) {
      const { records: found, next } = await records.list(owner, page)
      return { requests: await Promise.all(found.map(describeAll)), next }
    },

    async cancel(id, caller) {
      const record = await findRecord(id, caller)
      await cancel(record)
      return describeAll(record)
    },

    async remove(id, caller) {
      const record = await findRecord(id, caller)
      await cancel(record)
      // The record last: should this end half way, it can be asked for again.
      for (let index = 0; index < record.request.n; index++) {
        await reply(queues(record.request.model).remove(imageJobId(id, index)))
        await reply(redis.del(imageBytesKey(prefix, id, index)))
      }
      await records.remove(record)
    },

    async describe(record, index) {
      return describeImage(record, index, (await records.findCanceled(record.id)).has(index))
    },

    async readBytes(id, index, caller) {
      const record = await findRecord(id, caller)
      if (index >= record.request.n)
        throw new ApiError(
          'image_not_found',
          `there is no image ${index} in ${id}; it has ${record.request.n}`,
        )
      const bytes = await reply(redis.getBuffer(imageBytesKey(prefix, id, index)))
      if (bytes) return { bytes, format: record.request.format }
      const canceled = await records.findCanceled(id)
      const { status } = await describeImage(record, index, canceled.has(index))
      if (status === 'failed')
        throw new ApiError('image_not_found', `image ${index} of ${id} could not be drawn`)
      if (status === 'canceled') throw new ApiError('image_not_found', `image ${index} of ${id} was canceled`)
      if (status !== 'succeeded')
        throw new ApiError('image_not_ready', `image ${index} of ${id} is ${status}`)
      throw new ApiError(
        'expired',
        `image ${index} of ${id} is gone; images are kept for ${resultTtlSeconds} seconds`,
      )
    },
  }
}

function indexesOf({ n }: ImageRequest): number[] {
  return Array.from({ length: n }, (_, index) => index)
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
