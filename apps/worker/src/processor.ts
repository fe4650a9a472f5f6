import {
  type ErrorCode,
  ImageJob,
  ImageProgress,
  type ImageResult,
  imageBytesKey,
  imagesQueueName,
} from '@sdcpu/contract'
import type { DrawnImage, Engine, ImageInput } from '@sdcpu/diffusion'
import { type Job, UnrecoverableError, WaitingError, Worker } from 'bullmq'
import type { FastifyBaseLogger } from 'fastify'
import type { Redis } from 'ioredis'
import { batchGroup } from './batch-group.ts'
import { createBatcher } from './batcher.ts'
import type { WorkerConfig } from './config.ts'

const MAX_BEGUN = 3 // in company, then alone, then alone once more: a job may survive two crashes

// BullMQ counts a stall against every job a dead worker held, also those it had not begun, and they would
// die with a poisonous one. So its own limit is out of reach, and `begun` decides.
const MAX_STALLED_COUNT = 1000

type Held = { job: Job<ImageJob, ImageResult>; image: ImageJob; begun: number }
type Drawn = { image: DrawnImage; batchSize: number }

export type Processor = {
  /** Takes no more jobs, finishes the batch that runs, and puts the jobs held back in the queue. */
  drain(): Promise<void>
}

/** Takes jobs from the queue of the model, draws them in batches and stores the images. */
export function startProcessor({
  engine,
  redis,
  config,
  log,
}: {
  engine: Engine
  redis: Redis
  config: WorkerConfig
  log: FastifyBaseLogger
}): Processor {
  const batcher = createBatcher(draw, {
    maxSize: config.BATCH_MAX_SIZE,
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
  worker.on('error', (err) => {
    // A lost connection is reported where it was made, not once more for each use of it.
    if (redis.status === 'ready') log.error({ err }, 'queue error')
  })
  worker.on('stalled', (job) => log.warn({ job }, 'took up a job that another worker lost'))

  async function handle(job: Job<ImageJob, ImageResult>, token?: string): Promise<ImageResult> {
    const held = hold(job)
    try {
      const { image, batchSize } = await batcher.submit(held)
      // Bytes first: a job that has succeeded always has an image behind it.
      const key = imageBytesKey(config.REDIS_PREFIX, held.image.id, held.image.index)
      await redis.set(key, asBuffer(image.png), 'EX', config.RESULT_TTL_SECONDS)
      return toResult(image, batchSize)
    } catch (error) {
      if (error instanceof HandedBack) {
        await job.moveToWait(token)
        throw new WaitingError()
      }
      log.error({ err: error, job: job.id, begun: held.begun + 1 }, 'could not draw')
      throw failure('generation_failed', error)
    }
  }

  function hold(job: Job<ImageJob, ImageResult>): Held {
    const image = ImageJob.safeParse(job.data)
    if (!image.success) {
      log.error({ err: image.error, job: job.id }, 'not a job this worker understands')
      throw new UnrecoverableError('internal' satisfies ErrorCode)
    }
    const begun = ImageProgress.safeParse(job.progress).data?.begun ?? 0
    if (begun >= MAX_BEGUN) {
      log.error({ job: job.id, begun }, 'given up: it was begun too often and never ended')
      throw new UnrecoverableError('generation_failed' satisfies ErrorCode)
    }
    return { job, image: image.data, begun }
  }

  async function draw(batch: Held[]): Promise<Drawn[]> {
    // Awaited, so that the count stands should drawing kill this process.
    await Promise.all(batch.map(({ job, begun }) => job.updateProgress({ begun: begun + 1, step: 0 })))
    const start = performance.now()
    const images = await engine.generate(
      batch.map(({ image }) => toInput(image)),
      { onStep: (step) => reportStep(batch, step) },
    )
    const { width, height, steps, sampler, guidance } = batch[0]!.image
    const ms = Math.round(performance.now() - start)
    log.info(
      { jobs: batch.map(({ job }) => job.id), width, height, steps, sampler, guidance, ms },
      'drew a batch',
    )
    return images.map((image) => ({ image, batchSize: batch.length }))
  }

  function reportStep(batch: Held[], step: number): void {
    for (const { job, begun } of batch)
      job
        .updateProgress({ begun: begun + 1, step })
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

/** Why a held job was not drawn here: another worker is to have it. */
class HandedBack extends Error {}

// A job that was begun before failed or crashed then, and is drawn alone: it takes no batch mates along.
function groupOf({ job, image, begun }: Held): string {
  return begun > 0 ? `alone ${job.id}` : batchGroup(image)
}

function toInput({ version, id, index, ...input }: ImageJob): ImageInput {
  return input
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

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
