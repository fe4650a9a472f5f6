import {
  BatchTimes,
  batchShape,
  batchTimesKey,
  drawnSteps,
  type ImageJob,
  ImageProgress,
  type ImageResult,
  readBatchKind,
} from '@sdcpu/contract'
import type { Job } from 'bullmq'
import type { Redis } from 'ioredis'
import type { Queues } from './queues.ts'
import { reply } from './redis.ts'
import { type Measured, type Outlook, type QueuedImage, simulateQueue } from './simulate-queue.ts'
import { findWorkers } from './system.ts'

const MAX_AGE_MS = 500 // many callers ask at once, and a forecast reads the whole queue
const HORIZON = 1000 // images; what is further away is not worth reading

export type QueueOutlook = {
  /** By job id: images that wait or are drawn. */
  outlooks: Map<string, Outlook>
  notice?: 'no_worker' | 'paused'
  waiting: number
}

export type LookOptions = { isFresh: boolean }

export type Forecast = {
  /** How it goes on with a model's queue; at most half a second old, or new when `isFresh`. @throws `unavailable` */
  look(model: string, options?: LookOptions): Promise<QueueOutlook>
}

/** Forecasts when images will be drawn, from the queue, the workers alive and what they have measured. */
export function createForecast(
  redis: Redis,
  { queues, prefix }: { queues: Queues; prefix: string },
): Forecast {
  const newest = new Map<string, Look>()
  const read = new Map<string, Map<string, QueuedImage>>() // by model and job id

  async function compute(model: string): Promise<QueueOutlook> {
    const queue = queues(model)
    const [measured, workers, isPaused, active, waiting] = await Promise.all([
      readTimes(model),
      findWorkers(redis, { prefix, model }),
      reply(queue.isPaused()),
      reply(queue.getJobs(['active'], 0, HORIZON, true)),
      readWaiting(model),
    ])
    const progress = new Map(active.map((job) => [job, ImageProgress.safeParse(job.progress).data]))
    const simulated = workers.map(({ id, batchMaxSize }) => {
      const own = active.filter((job) => progress.get(job)?.worker === id)
      const step = progress.get(own[0]!)?.step ?? 0
      return { batchMaxSize, ...(own.length > 0 && { running: { images: own.map(toQueued), step } }) }
    })
    const alive = new Set(workers.map(({ id }) => id))
    const held = active.filter((job) => !alive.has(progress.get(job)?.worker ?? ''))
    const line = [...held.map(toQueued), ...waiting]
    const notice = workers.length === 0 ? 'no_worker' : isPaused ? 'paused' : undefined
    return {
      outlooks: simulateQueue(line, isPaused ? [] : simulated, measured),
      waiting: waiting.length,
      ...(notice && { notice }),
    }
  }

  // A job does not change while it waits, and there may be hundreds; so each is read once.
  async function readWaiting(model: string): Promise<QueuedImage[]> {
    const queue = queues(model)
    const known = read.get(model)
    const ids = await reply(queue.getRanges(['waiting', 'prioritized'], 0, HORIZON, true))
    const images = await Promise.all(
      ids.map(async (id) => known?.get(id) ?? toMaybeQueued(await reply(queue.getJob(id)))),
    )
    const waiting = images.filter((image) => image !== undefined)
    read.set(model, new Map(waiting.map((image) => [image.id, image])))
    return waiting
  }

  async function readTimes(model: string): Promise<Measured[]> {
    const entries = Object.entries(await reply(redis.hgetall(batchTimesKey(prefix, model))))
    return entries.flatMap(([kind, text]) => {
      const times = BatchTimes.safeParse(JSON.parse(text)).data
      const read = readBatchKind(kind)
      return times && read ? [{ ...read, ...times }] : []
    })
  }

  function begin(model: string): Promise<QueueOutlook> {
    const look: Look = { at: performance.now(), outlook: compute(model), isUnderWay: true }
    newest.set(model, look)
    look.outlook.then(
      () => {
        look.isUnderWay = false
      },
      () => {
        if (newest.get(model) === look && !look.next) newest.delete(model)
      },
    )
    return look.outlook
  }

  // A look that is under way may have read the queue before the caller changed it; the one after it has not, and serves
  // all who ask meanwhile, so that many who ask at once cost two looks.
  function lookAgain(model: string): Promise<QueueOutlook> {
    const look = newest.get(model)
    if (!look?.isUnderWay) return begin(model)
    look.next ??= look.outlook.catch(() => {}).then(() => begin(model))
    return look.next
  }

  return {
    look(model, { isFresh } = { isFresh: false }) {
      if (isFresh) return lookAgain(model)
      const known = newest.get(model)
      const isNew = known && (known.isUnderWay || performance.now() - known.at < MAX_AGE_MS)
      return isNew ? known.outlook : begin(model)
    },
  }
}

type Look = { at: number; outlook: Promise<QueueOutlook>; isUnderWay: boolean; next?: Promise<QueueOutlook> }

function toMaybeQueued(job: Job<ImageJob, ImageResult> | undefined): QueuedImage | undefined {
  return job && toQueued(job) // taken meanwhile, and gone
}

function toQueued({ id, data }: Job<ImageJob, ImageResult>): QueuedImage {
  const shape = batchShape(data)
  const { width, height, rows } = shape
  const { steps, sampler, guidance, timestepSpacing, strength, previews } = data
  const settings = [steps, sampler, guidance, timestepSpacing, strength, previews]
  const group = [width, height, rows, ...settings].join()
  return { id: id!, shape, group, steps: drawnSteps(data), isFromImage: strength !== undefined }
}
