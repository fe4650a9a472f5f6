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

export type Forecast = {
  /** How it goes on with a model's queue; at most half a second old, or new when `isFresh`. @throws `unavailable` */
  look(model: string, options?: { isFresh?: boolean }): Promise<QueueOutlook>
}

/** Forecasts when images will be drawn, from the queue, the workers alive and what they have measured. */
export function createForecast(
  redis: Redis,
  { queues, prefix }: { queues: Queues; prefix: string },
): Forecast {
  const kept = new Map<string, { at: number; outlook: Promise<QueueOutlook> }>()

  async function compute(model: string): Promise<QueueOutlook> {
    const queue = queues(model)
    const [measured, workers, isPaused, active, waiting, prioritized] = await Promise.all([
      readTimes(model),
      findWorkers(redis, { prefix, model }),
      reply(queue.isPaused()),
      reply(queue.getJobs(['active'], 0, HORIZON, true)),
      reply(queue.getJobs(['waiting'], 0, HORIZON, true)),
      reply(queue.getJobs(['prioritized'], 0, HORIZON, true)),
    ])
    const progress = new Map(active.map((job) => [job, ImageProgress.safeParse(job.progress).data]))
    const simulated = workers.map(({ id, batchMaxSize }) => {
      const own = active.filter((job) => progress.get(job)?.worker === id)
      const step = progress.get(own[0]!)?.step ?? 0
      return { batchMaxSize, ...(own.length > 0 && { running: { images: own.map(toQueued), step } }) }
    })
    const alive = new Set(workers.map(({ id }) => id))
    const held = active.filter((job) => !alive.has(progress.get(job)?.worker ?? ''))
    const line = [...held, ...waiting, ...prioritized].filter(Boolean).map(toQueued)
    const notice = workers.length === 0 ? 'no_worker' : isPaused ? 'paused' : undefined
    return {
      outlooks: simulateQueue(line, isPaused ? [] : simulated, measured),
      waiting: waiting.length + prioritized.length,
      ...(notice && { notice }),
    }
  }

  async function readTimes(model: string): Promise<Measured[]> {
    const entries = Object.entries(await reply(redis.hgetall(batchTimesKey(prefix, model))))
    return entries.flatMap(([kind, text]) => {
      const times = BatchTimes.safeParse(JSON.parse(text)).data
      const read = readBatchKind(kind)
      return times && read ? [{ ...read, ...times }] : []
    })
  }

  return {
    look(model, { isFresh = false } = {}) {
      const known = kept.get(model)
      if (known && !isFresh && performance.now() - known.at < MAX_AGE_MS) return known.outlook
      const outlook = compute(model)
      kept.set(model, { at: performance.now(), outlook })
      outlook.catch(() => kept.delete(model))
      return outlook
    },
  }
}

function toQueued({ id, data }: Job<ImageJob, ImageResult>): QueuedImage {
  const shape = batchShape(data)
  const { width, height, rows } = shape
  const { steps, sampler, guidance, timestepSpacing, strength, previews } = data
  const settings = [steps, sampler, guidance, timestepSpacing, strength, previews]
  const group = [width, height, rows, ...settings].join()
  return { id: id!, shape, group, steps: drawnSteps(data), isFromImage: strength !== undefined }
}
