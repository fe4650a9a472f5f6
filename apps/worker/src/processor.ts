import {
  type ErrorCode,
  ImageJob,
  ImageProgress,
  type ImageResult,
  imagesQueueName,
  inputImageKey,
  mediaTypeOf,
} from '@sdcpu/contract'
import { convertPng, type DrawnImage, type Engine, type ImageInput, readPicture } from '@sdcpu/diffusion'
import { openPictureStore } from '@sdcpu/pictures'
import { createSafetyCheck } from '@sdcpu/safety'
import { type Job, UnrecoverableError, WaitingError, Worker } from 'bullmq'
import type { FastifyBaseLogger } from 'fastify'
import type { Redis } from 'ioredis'
import { batchGroup } from './batch-group.ts'
import { createBatchTimer } from './batch-times.ts'
import { createBatcher } from './batcher.ts'
import { createCancellations } from './cancellations.ts'
import type { WorkerConfig } from './config.ts'
import type { EngineHost } from './engine-host.ts'
import type { MemoryTable } from './memory.ts'
import type { Metrics } from './metrics.ts'
import { createPreviews } from './previews.ts'

const MAX_BEGUN = 3 // in company, then alone, then alone once more: a job may survive two crashes

// BullMQ counts a stall against every job a dead worker held, also those it had not begun, and they would
// die with a poisonous one. So its own limit is out of reach, and `begun` decides.
const MAX_STALLED_COUNT = 1000

const CANCELED: ErrorCode = 'canceled'
const FLAGGED: ErrorCode = 'flagged'
const LATE: ErrorCode = 'deadline_exceeded'

type Held = {
  job: Job<ImageJob, ImageResult>
  image: ImageJob
  input: ImageInput
  begun: number
  isDrawing: boolean
}
/** Nothing where the image was canceled. */
type Drawn = { image: DrawnImage; batchSize: number } | undefined

export type Processor = {
  /** Takes no more jobs, finishes the batch that runs, and puts the jobs held back in the queue. */
  drain(): Promise<void>
}

/** Takes jobs from the queue of the model, draws them in batches and stores the images. */
export function startProcessor({
  engine,
  memory,
  redis,
  config,
  log,
  workerId = '',
  metrics,
  onDrawn = () => {},
}: {
  engine: Engine & Partial<Pick<EngineHost, 'recycleIfGrown'>>
  /** How much fits; everything when absent. */
  memory?: MemoryTable
  redis: Redis
  config: WorkerConfig
  log: FastifyBaseLogger
  /** Told with the progress, so that the API knows which images are drawn together. */
  workerId?: string
  metrics?: Metrics
  /** Told how many images each batch had. */
  onDrawn?: (images: number) => void
}): Processor {
  const timer = createBatchTimer(redis, { prefix: config.REDIS_PREFIX, model: config.MODEL_NAME })
  const safety = createSafetyCheck(config)
  const pictures = openPictureStore(config, {
    redis,
    prefix: config.REDIS_PREFIX,
    ttlSeconds: config.RESULT_TTL_SECONDS,
  })
  const cancellations = createCancellations(redis, config.REDIS_PREFIX)
  const batcher = createBatcher(draw, {
    maxSize: config.BATCH_MAX_SIZE,
    maxSizeOf: ({ image }) => Math.max(1, memory?.maxImages(image.width * image.height) ?? Infinity),
    windowMs: config.BATCH_WINDOW_MS,
    groupOf,
  })
  const worker = new Worker<ImageJob, ImageResult>(imagesQueueName(config.MODEL_NAME), handle, {
    connection: redis,
    prefix: config.REDIS_PREFIX,
    // Looks one batch ahead, so that shapes that come mixed still fill their batches.
    concurrency: 2 * config.BATCH_MAX_SIZE,
    lockDuration: config.LOCK_DURATION_MS,
    stalledInterval: config.STALLED_INTERVAL_MS,
    maxStalledCount: MAX_STALLED_COUNT,
  })
  const previews = createPreviews(redis, {
    prefix: config.REDIS_PREFIX,
    eventsKey: worker.toKey('events'),
    check: checkPicture,
    log,
  })
  worker.on('error', (err) => {
    // A lost connection is reported where it was made, not once more for each use of it.
    if (redis.status === 'ready') log.error({ err }, 'queue error')
  })
  worker.on('completed', () => metrics?.images.inc({ outcome: 'succeeded' }))
  worker.on('failed', (job) => {
    if (job?.finishedOn) metrics?.images.inc({ outcome: outcomeOf(job.failedReason) })
    // The API knows that it is canceled; what is left here would hold the prompt for a day.
    if (job?.failedReason === CANCELED)
      job.remove().catch((err) => log.warn({ err, job: job.id }, 'could not remove a canceled job'))
  })
  worker.on('stalled', (job) => log.warn({ job }, 'took up a job that another worker lost'))

  async function handle(job: Job<ImageJob, ImageResult>, token?: string): Promise<ImageResult> {
    const held = await hold(job)
    try {
      const drawn = await batcher.submit(held)
      if (!drawn) throw new UnrecoverableError(isLate(held) ? LATE : CANCELED)
      const { image, batchSize } = drawn
      await previews.settle(held.image) // or one would arrive after the picture itself
      // Bytes first: a job that has succeeded always has an image behind it.
      const { format = 'png' } = held.image
      const file = await toFile(image.png, held.image)
      await checkPicture(held.image, file, mediaTypeOf(format))
      await pictures.save(held.image, file, mediaTypeOf(format))
      return toResult(image, batchSize)
    } catch (error) {
      if (error instanceof HandedBack) {
        await job.moveToWait(token)
        throw new WaitingError()
      }
      if (error instanceof UnrecoverableError) throw error
      log.error({ err: error, job: job.id, begun: held.begun + 1 }, 'could not draw')
      // For the operator, who finds it with the job; the caller is told the code.
      await job.log(String((error as Error).stack ?? error)).catch(() => {})
      throw failure('generation_failed', error)
    }
  }

  async function checkPicture({ prompt }: ImageJob, image: Uint8Array, mediaType: string): Promise<void> {
    const { flagged, category } = await safety({ stage: 'image', prompt, image, mediaType })
    if (flagged) throw new UnrecoverableError(category ? `${FLAGGED}:${category}` : FLAGGED)
  }

  async function hold(job: Job<ImageJob, ImageResult>): Promise<Held> {
    const image = ImageJob.safeParse(job.data)
    if (!image.success) {
      log.error({ err: image.error, job: job.id }, 'not a job this worker understands')
      throw new UnrecoverableError('internal' satisfies ErrorCode)
    }
    const pixels = image.data.width * image.data.height
    if (memory && memory.maxImages(pixels) === 0) {
      const { width, height } = image.data
      log.error({ job: job.id, width, height, maxPixels: memory.maxPixels() }, 'does not fit into the memory')
      throw new UnrecoverableError('size_too_large' satisfies ErrorCode)
    }
    const begun = ImageProgress.safeParse(job.progress).data?.begun ?? 0
    if (begun >= MAX_BEGUN) {
      log.error({ job: job.id, begun }, 'given up: it was begun too often and never ended')
      throw new UnrecoverableError('generation_failed' satisfies ErrorCode)
    }
    return { job, image: image.data, input: await toInput(image.data, job), begun, isDrawing: false }
  }

  /**
   * What the engine is given. A picture to begin with is read here and not by the engine, so that a damaged one harms no
   * batch mates.
   */
  async function toInput(image: ImageJob, job: Job<ImageJob, ImageResult>): Promise<ImageInput> {
    const { version: _version, id, index: _index, format, expiresAtMs, requestId, ...input } = image
    if (input.strength === undefined) return input
    const file = await redis.getBuffer(inputImageKey(config.REDIS_PREFIX, id))
    if (!file) {
      log.error({ job: job.id }, 'the image to begin with is gone')
      throw new UnrecoverableError('expired' satisfies ErrorCode)
    }
    try {
      return { ...input, image: await readPicture(file, input) }
    } catch (err) {
      log.error({ err, job: job.id }, 'the image to begin with cannot be read')
      throw new UnrecoverableError('invalid_request' satisfies ErrorCode)
    }
  }

  /** Draws what of a batch is not canceled; what is canceled meanwhile is drawn no further. */
  async function draw(batch: Held[]): Promise<Drawn[]> {
    const canceled = await cancellations.find(batch.map(({ image }) => image))
    await engine.recycleIfGrown?.()
    const wanted = batch.filter((held, i) => !canceled[i] && !isLate(held))
    const drawn = wanted.length > 0 ? await drawWanted(wanted) : []
    return batch.map((held) => drawn[wanted.indexOf(held)])
  }

  async function drawWanted(batch: Held[]): Promise<Drawn[]> {
    const startedAt = Date.now()
    const start = performance.now()
    for (const held of batch) held.isDrawing = true
    // Awaited, so that the count stands should drawing kill this process.
    await Promise.all(
      batch.map(({ job, begun }) => job.updateProgress({ begun: begun + 1, step: 0, worker: workerId })),
    )
    const aborts = batch.map(() => new AbortController())
    const watch = cancellations.watch(
      batch.map(({ image }) => image),
      (i) => aborts[i]?.abort(),
    )
    const generate = () =>
      engine.generate(
        batch.map(({ input }) => input),
        {
          onStep: (step) => reportStep(batch, step),
          onPreview: (preview) => previews.publish(batch[preview.image]!.image, preview),
          signals: aborts.map(({ signal }) => signal),
        },
      )
    const { width, height, steps, sampler, guidance } = batch[0]!.image
    const shape = { pixels: width * height, images: batch.length }
    const drawing = memory ? memory.measure(shape, generate) : generate()
    const images = await drawing.finally(() => watch.stop())
    const ms = Math.round(performance.now() - start)
    log.info(
      { images: batch.map(describeImage), width, height, steps, sampler, guidance, ms },
      'drew a batch',
    )
    onDrawn(batch.length)
    metrics?.recordBatch({
      ...{ ms, steps, timings: images[0]!.timingsMs, batchMaxSize: config.BATCH_MAX_SIZE },
      waitMs: batch.map(({ job }) => startedAt - job.timestamp),
      canceled: aborts.filter(({ signal }) => signal.aborted).length,
    })
    if (aborts.every(({ signal }) => !signal.aborted))
      timer
        .record(
          batch.map(({ image }) => image),
          { ms: ms - (images[0]!.timingsMs.previews ?? 0), timings: images[0]!.timingsMs },
        )
        .catch((err) => log.warn({ err }, 'could not tell how long a batch took'))
    return images.map((image, i) =>
      aborts[i]?.signal.aborted ? undefined : { image, batchSize: batch.length },
    )
  }

  function describeImage({ job, image: { requestId, prompt, negativePrompt } }: Held): object {
    return { job: job.id, requestId, ...(config.LOG_PROMPTS && { prompt, negativePrompt }) }
  }

  function reportStep(batch: Held[], step: number): void {
    for (const { job, begun } of batch)
      job
        .updateProgress({ begun: begun + 1, step, worker: workerId })
        // A step nobody hears of is no reason to lose the image.
        .catch((err) => log.warn({ err, job: job.id }, 'could not report a step'))
  }

  return {
    async drain() {
      const closed = worker.close() // first, or the jobs put back would be taken again at once
      batcher.stop(new HandedBack())
      await closed
    },
  }
}

function outcomeOf(reason: string): string {
  const [code = ''] = reason.split(':')
  return [CANCELED, LATE, FLAGGED].includes(code as ErrorCode) ? code : 'failed'
}

/** Whether nobody waits for an image any more; one that is being drawn is finished. */
function isLate({ image: { expiresAtMs = Infinity }, isDrawing }: Held): boolean {
  return !isDrawing && Date.now() > expiresAtMs
}

/** Why a held job was not drawn here: another worker is to have it. */
class HandedBack extends Error {}

// A job that was begun before failed or crashed then, and is drawn alone: it takes no batch mates along.
function groupOf({ job, image, begun }: Held): string {
  return begun > 0 ? `alone ${job.id}` : batchGroup(image)
}

function toFile(png: Uint8Array, { format = 'png' }: ImageJob): Promise<Uint8Array> | Uint8Array {
  return format === 'png' ? png : convertPng(png, format)
}

function toResult(image: DrawnImage, batchSize: number): ImageResult {
  const { seed, width, height, steps, timingsMs, tokenCounts, warnings } = image
  return {
    ...{ seed, width, height, steps, timingsMs, batchSize, warnings },
    promptTokens: tokenCounts?.prompt,
    negativePromptTokens: tokenCounts?.negativePrompt,
    promptChunks: tokenCounts?.chunks,
  }
}

// The API shows the message, which is why it is a code; the cause is in our log.
function failure(code: ErrorCode, cause: unknown): Error {
  return new Error(code, { cause })
}
