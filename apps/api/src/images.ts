import { randomUUID } from 'node:crypto'
import {
  type CreateImages,
  drawnSteps,
  ErrorCode,
  extensionOf,
  type Image,
  type ImageFormat,
  type ImageJob,
  ImageProgress,
  type ImageRequest,
  ImageResult,
  type ImagesList,
  type ImagesResource,
  imageJobId,
  inputImageKey,
  isTerminal,
  knownForSeconds,
  parseSize,
  seedOf,
} from '@sdcpu/contract'
import type { PictureStore } from '@sdcpu/pictures'
import type { SafetyCheck } from '@sdcpu/safety'
import type { Redis } from 'ioredis'
import type { Admission } from './admission.ts'
import { ApiError, fixedMessage } from './api-error.ts'
import { type Caller, isKeyed, mayAccess } from './caller.ts'
import { cancelJobs } from './cancel-jobs.ts'
import type { Forecast, LookOptions } from './forecast.ts'
import { toImageStatus, toRequestStatus } from './image-status.ts'
import { readInputImage } from './input-image.ts'
import type { Links } from './links.ts'
import type { Metrics } from './metrics.ts'
import type { Models } from './models.ts'
import type { Queues } from './queues.ts'
import { type ImagesQueue, reply } from './redis.ts'
import { type RequestRecord, type RequestRecords, unknownId } from './request-records.ts'
import { resolveRequest } from './resolve-request.ts'

const ATTEMPTS = 2 // a failure that repeats itself will not go away

export type Images = {
  /**
   * `id` is a new one when absent, and `isNew` says that a given one is; `previews` says how often the images are shown
   * while they are drawn.
   * @throws `invalid_request`, `model_not_found`, `model_not_ready`, `queue_full`, `unavailable`
   */
  create(
    body: CreateImages,
    caller: Caller,
    options?: { id?: string; isNew?: boolean; requestId?: string; previews?: number | undefined },
  ): Promise<ImagesResource>
  /** @throws `image_not_found`, `unavailable` */
  find(id: string, caller: Caller): Promise<ImagesResource>
  /** Newest first. @throws `invalid_request` when `before` is no cursor, `unavailable` */
  list(owner: string, page: { limit: number; before?: string }): Promise<ImagesList>
  /** Cancels what is not drawn yet, of all images or those of `indexes`. @throws `image_not_found`, `unavailable` */
  cancel(id: string, caller: Caller, indexes?: number[]): Promise<ImagesResource>
  /** Cancels what is not drawn yet, and forgets the rest. @throws `image_not_found`, `unavailable` */
  remove(id: string, caller: Caller): Promise<void>
  /** One image of a request, as it is now. */
  describe(record: RequestRecord, index: number): Promise<Image>
  /** A whole request, as it is now. */
  describeAll(record: RequestRecord): Promise<ImagesResource>
  /** @throws `image_not_found`, `unavailable` */
  findRecord(id: string, caller: Caller): Promise<RequestRecord>
  /** @throws `image_not_found`, `image_not_ready`, `expired`, `unavailable` */
  readBytes(
    id: string,
    index: number,
    caller: Pick<Caller, 'owner' | 'isStrict'>,
  ): Promise<{ bytes: Uint8Array; format: ImageFormat }>
}

/** Admits, queues and reports images. */
export function createImages({
  redis,
  queues,
  models,
  admission,
  forecast,
  links,
  metrics,
  pictures,
  prefix,
  resultTtlSeconds,
  records,
  safety,
}: {
  redis: Redis
  queues: Queues
  models: Models
  admission: Admission
  forecast: Forecast
  links: Links
  metrics: Metrics
  pictures: PictureStore
  prefix: string
  resultTtlSeconds: number
  records: RequestRecords
  safety: SafetyCheck
}): Images {
  // Every method reads with `redis` first: it fails at once while Redis is away, where the queue would wait.

  async function enqueue(
    { id, createdAt, request, previews }: RequestRecord,
    { caller, priority, requestId, indexes = indexesOf(request) }: Turn,
  ): Promise<void> {
    const { model, n: _, seed, size, expiresInSeconds, image: _image, ...drawn } = request
    // A worker that knows nothing of images to begin with must not draw one of these from the prompt alone.
    const version = drawn.strength === undefined ? 2 : 3
    const deadlineMs = deadlineOf({ createdAt, request })
    const expiresAtMs = Number.isFinite(deadlineMs) ? deadlineMs : undefined
    const queue = queues(model)
    const jobs = indexes.map((index) => ({
      id: imageJobId(id, index),
      data: {
        version,
        id,
        index,
        ...drawn,
        seed: seedOf(seed, index),
        ...parseSize(size),
        expiresAtMs,
        requestId,
        previews,
      } satisfies ImageJob,
    }))
    forecast.learn(model, jobs)
    const age = knownForSeconds(resultTtlSeconds)
    // Not in bulk: a pipeline of BullMQ's takes longer to make than these to send, and one after the other they keep their order.
    const adding = jobs.map(({ id, data }, i) =>
      queue.add('image', data, {
        jobId: id,
        priority: priority + i,
        attempts: ATTEMPTS,
        removeOnComplete: { age },
        removeOnFail: { age },
      }),
    )
    const jobIds = jobs.map(({ id }) => id)
    await Promise.all([admission.remember(caller, queue, jobIds), reply(Promise.all(adding))])
  }

  async function findRecord(id: string, caller: Pick<Caller, 'owner' | 'isStrict'>): Promise<RequestRecord> {
    const record = await records.find(id)
    if (!mayAccess(caller, record.owner)) throw unknownId(id)
    return record
  }

  async function describeAll(record: RequestRecord, options?: LookOptions): Promise<ImagesResource> {
    const canceled = await records.findCanceled(record.id)
    const describing = indexesOf(record.request).map((index) =>
      describeImage(record, index, canceled.has(index)),
    )
    return withOutlook(toResource(record, await Promise.all(describing)), options)
  }

  /** A request whose images were queued this moment; a worker may have begun them, which the next answer tells. */
  function describeNew(record: RequestRecord): Promise<ImagesResource> {
    const images = indexesOf(record.request).map((index) => toQueued(record.request, index))
    return withOutlook(toResource(record, images), { isFresh: true })
  }

  async function withOutlook(resource: ImagesResource, options?: LookOptions): Promise<ImagesResource> {
    if (resource.images.every(({ status }) => isTerminal(status))) return resource
    const { outlooks, notice } = await forecast.look(resource.request.model, options)
    const images = resource.images.map((image) => {
      if (isTerminal(image.status)) return image
      const { position, etaSeconds } = outlooks.get(imageJobId(resource.id, image.index)) ?? {}
      return { ...image, etaSeconds, ...(image.status === 'queued' && { position }) }
    })
    const isWaiting = images.some(({ status }) => status === 'queued')
    return { ...resource, images, ...(isWaiting && { notice }) }
  }

  async function describeImage(record: RequestRecord, index: number, isCanceled: boolean): Promise<Image> {
    const { id, request } = record
    if (isCanceled) return { ...toQueued(request, index), status: 'canceled' }
    const jobId = imageJobId(id, index)
    const queue = queues(request.model)
    const state = await reply(queue.getJobState(jobId)) // before the job, which then knows at least as much
    const job = await reply(queue.getJob(jobId))
    const progress = ImageProgress.safeParse(job?.progress).data
    const status = toImageStatus(state, progress !== undefined)
    const image = { index, seed: seedOf(request.seed, index), status, steps: drawnSteps(request) }
    const isLate = Date.now() > deadlineOf(record)
    // Where a worker holds it, that worker decides: it may have begun in time.
    if (isLate && (state === 'unknown' || (status === 'queued' && (await tryRemove(queue, jobId)))))
      return { ...image, status: 'failed', error: toImageError('deadline_exceeded') }
    if (status === 'running') return { ...image, step: progress?.step }
    if (status === 'failed') return { ...image, error: toImageError(job?.failedReason) }
    if (status !== 'succeeded') return image
    const {
      seed: _seed,
      steps: _steps,
      batchSize: _batchSize,
      ...result
    } = ImageResult.parse(job?.returnvalue)
    const isKept = await reply(pictures.has({ id, index }))
    return {
      ...image,
      url: isKept ? await urlOf(record, index) : undefined,
      ...result,
    }
  }

  async function urlOf({ id, owner, request }: RequestRecord, index: number): Promise<string> {
    const path = `/api/v1/images/${id}/${index}.${extensionOf(request.format)}`
    return isKeyed(owner) ? `${path}?signature=${await links.sign(id, index)}` : path
  }

  async function checkPrompt({ prompt, negativePrompt }: ImageRequest): Promise<void> {
    const { flagged, category } = await safety({ stage: 'prompt', prompt, negativePrompt }).catch((cause) => {
      throw new ApiError('unavailable', 'no verdict on the prompt', { cause, retryAfterSeconds: 5 })
    })
    if (flagged)
      throw new ApiError('flagged', 'the prompt was refused by the policy of this service', { category })
  }

  // A request whose caller lost the answer may have lost its jobs, too: Redis can go away between the two.
  async function resume(record: RequestRecord, caller: Caller): Promise<ImagesResource> {
    const resource = await describeAll(record)
    const indexes = resource.images.flatMap(({ error, index }) => (error?.code === 'expired' ? [index] : []))
    if (indexes.length === 0) return resource
    await enqueue(record, { caller, priority: 1, indexes })
    return describeAll(record, { isFresh: true })
  }

  async function cancel(record: RequestRecord, indexes = indexesOf(record.request)): Promise<void> {
    const { model } = record.request
    const canceled = await cancelJobs(
      { redis, queue: queues(model), prefix, resultTtlSeconds },
      { id: record.id, indexes },
    )
    metrics.imagesCanceled.inc({ model }, canceled)
  }

  return {
    findRecord,
    describeAll,

    async create(body, caller, { id: givenId, isNew = givenId === undefined, requestId, previews } = {}) {
      const id = givenId ?? randomUUID()
      const choosing = models.choose(body.model)
      choosing.catch(() => {}) // it counts only where the request is not known
      const known = isNew ? undefined : await records.findMaybe(id)
      if (known) return resume(known, caller)
      const input = body.image === undefined ? undefined : await readInputImage(body.image)
      const request = resolveRequest(body, await choosing, input)
      await checkPrompt(request)
      const priority = await admission.admit({ caller, ...request })
      const createdAt = new Date().toISOString()
      const record: RequestRecord = { id, createdAt, owner: caller.owner, request, previews }
      // Before the jobs, so that no image is ever drawn that cannot be found.
      if (!(await records.save(record))) return resume(await records.find(id), caller)
      if (input) await reply(redis.set(inputImageKey(prefix, id), input.bytes, 'EX', resultTtlSeconds))
      await enqueue(record, { caller, priority, requestId })
      metrics.imagesRequested.inc({ model: request.model }, request.n)
      return describeNew(record)
    },

    async find(id, caller) {
      return describeAll(await findRecord(id, caller))
    },

    async list(owner, page) {
      const { records: found, next } = await records.list(owner, page)
      return { requests: await Promise.all(found.map((record) => describeAll(record))), next }
    },

    async cancel(id, caller, indexes) {
      const record = await findRecord(id, caller)
      await cancel(record, indexes)
      return describeAll(record)
    },

    async remove(id, caller) {
      const record = await findRecord(id, caller)
      await cancel(record)
      // The record last: should this end half way, it can be asked for again.
      for (let index = 0; index < record.request.n; index++) {
        await reply(queues(record.request.model).remove(imageJobId(id, index)))
        await reply(pictures.remove({ id, index }))
      }
      if (record.request.image) await reply(redis.del(inputImageKey(prefix, id)))
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
      const bytes = await reply(pictures.read({ id, index }))
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

/** In whose turn images are drawn. */
type Turn = { caller: Caller; priority: number; requestId?: string; indexes?: number[] }

/** When a request is not worth drawing any more. */
function deadlineOf({ createdAt, request }: Pick<RequestRecord, 'createdAt' | 'request'>): number {
  return Date.parse(createdAt) + (request.expiresInSeconds ?? Infinity) * 1000
}

/** Whether nobody held the job, and it is gone now. */
async function tryRemove(queue: ImagesQueue, jobId: string): Promise<boolean> {
  return (await reply(queue.remove(jobId))) === 1
}

function indexesOf({ n }: ImageRequest): number[] {
  return Array.from({ length: n }, (_, index) => index)
}

function toResource({ id, createdAt, request }: RequestRecord, images: Image[]): ImagesResource {
  return { id, status: toRequestStatus(images.map(({ status }) => status)), createdAt, request, images }
}

function toQueued(request: ImageRequest, index: number): Image {
  return { index, seed: seedOf(request.seed, index), status: 'queued', steps: drawnSteps(request) }
}

// What these codes mean of an image that was queued: its request was found good but for the picture's inside.
const INPUT_FAULTS: Partial<Record<ErrorCode, string>> = {
  invalid_request: 'The image to begin with is damaged: its header could be read, but not all of it.',
  expired: 'The image to begin with was gone before its turn came. Send the request again.',
}

// Workers fail a job with one of our codes; anything else is BullMQ's own reason, such as a job that is gone.
function toImageError(failedReason: string | undefined): NonNullable<Image['error']> {
  if (failedReason === undefined)
    return { code: 'expired', message: 'Nothing is known of this image any more.' }
  const [reason, category] = failedReason.split(':') // a worker says with `flagged` what for
  const code = ErrorCode.safeParse(reason).data ?? 'generation_failed'
  return {
    code,
    message: INPUT_FAULTS[code] ?? fixedMessage(code),
    ...(code === 'flagged' && category && { category }),
  }
}
