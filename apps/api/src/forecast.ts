import {
  BatchTimes,
  batchShape,
  batchTimesKey,
  drawnSteps,
  type ImageJob,
  ImageProgress,
  readBatchKind,
} from '@sdcpu/contract'
import type { Redis } from 'ioredis'
import type { Queues } from './queues.ts'
import { reply } from './redis.ts'
import { createScript } from './script.ts'
import { type Measured, type Outlook, type QueuedImage, simulateQueue } from './simulate-queue.ts'
import type { RecentWorkers } from './system.ts'

const MAX_AGE_MS = 500 // many callers ask at once, and a forecast reads the whole queue
const HORIZON = 1000 // images; what is further away is not worth reading
const KNOWN_LIMIT = 4 * HORIZON // images of a model, a few hundred bytes each

// A queue as it is at one moment. Lists have the oldest last. Ids come as one text: hundreds of answers take long to read.
const LOOK = `
local oldest = function(list) return redis.call('LRANGE', list, -ARGV[2], -1) end
local active, progress = oldest(KEYS[2]), {}
for i, id in ipairs(active) do progress[i] = redis.call('HGET', ARGV[1] .. id, 'progress') or '0' end
return {
  redis.call('HEXISTS', KEYS[1], 'paused'),
  active,
  progress,
  table.concat(oldest(KEYS[3]), '\\n'),
  table.concat(redis.call('ZRANGE', KEYS[4], 0, ARGV[2] - 1), '\\n'),
  redis.call('HGETALL', KEYS[5])
}`

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
  /** Learns what is about to be queued, which then need not be read. */
  learn(model: string, jobs: { id: string; data: ImageJob }[]): void
}

/** Forecasts when images will be drawn, from the queue, the workers alive and what they have measured. */
export function createForecast(
  redis: Redis,
  { queues, workers: recentWorkers, prefix }: { queues: Queues; workers: RecentWorkers; prefix: string },
): Forecast {
  const newest = new Map<string, Look>()
  const known = new Map<string, Map<string, QueuedImage>>() // by model and job id
  const readQueue = createScript<QueueAnswer>(redis, LOOK)

  async function compute(model: string): Promise<QueueOutlook> {
    const [{ isPaused, active, waiting, measured }, workers] = await Promise.all([
      read(model),
      recentWorkers.get(model),
    ])
    const simulated = workers.map(({ id, batchMaxSize }) => {
      const own = active.filter(({ progress }) => progress?.worker === id)
      const images = own.map(({ image }) => image)
      const step = own[0]?.progress?.step ?? 0
      return { batchMaxSize, ...(own.length > 0 && { running: { images, step } }) }
    })
    const alive = new Set(workers.map(({ id }) => id))
    const held = active.filter(({ progress }) => !alive.has(progress?.worker ?? ''))
    const line = [...held.map(({ image }) => image), ...waiting]
    const notice = workers.length === 0 ? 'no_worker' : isPaused ? 'paused' : undefined
    return {
      outlooks: simulateQueue(line, isPaused ? [] : simulated, measured),
      waiting: waiting.length,
      ...(notice && { notice }),
    }
  }

  async function read(model: string): Promise<QueueState> {
    const queue = queues(model)
    const lists = ['meta', 'active', 'wait', 'prioritized'].map((name) => queue.toKey(name))
    const keys = [...lists, batchTimesKey(prefix, model)]
    const [isPaused, activeIds, progress, wait, prioritized, times] = await readQueue(keys, [
      queue.toKey(''),
      HORIZON,
    ])
    const waitingIds = [...toLines(wait).reverse(), ...toLines(prioritized)]
    const images = await toImages(model, [...activeIds, ...waitingIds])
    const active = activeIds.flatMap((id, i) => {
      const image = images.get(id)
      return image ? [{ image, progress: ImageProgress.safeParse(JSON.parse(progress[i]!)).data }] : []
    })
    return {
      isPaused: isPaused === 1,
      active: active.reverse(),
      waiting: waitingIds.flatMap((id) => images.get(id) ?? []),
      measured: toMeasured(times),
    }
  }

  // What a job draws does not change, and there may be hundreds; so each is read once, and those of this API never.
  async function toImages(model: string, ids: string[]): Promise<Map<string, QueuedImage>> {
    const queue = queues(model)
    const images = imagesOf(model)
    const unknown = ids.filter((id) => !images.has(id))
    const jobs = await Promise.all(unknown.map((id) => reply(queue.getJob(id))))
    for (const job of jobs) if (job) images.set(job.id!, toQueued(job.id!, job.data)) // or it is gone
    if (images.size > KNOWN_LIMIT) {
      const there = new Set(ids)
      for (const id of images.keys()) if (!there.has(id)) images.delete(id)
    }
    return images
  }

  function imagesOf(model: string): Map<string, QueuedImage> {
    const images = known.get(model) ?? new Map()
    known.set(model, images)
    return images
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
      const last = newest.get(model)
      const isNew = last && (last.isUnderWay || performance.now() - last.at < MAX_AGE_MS)
      return isNew ? last.outlook : begin(model)
    },

    learn(model, jobs) {
      const images = imagesOf(model)
      for (const { id, data } of jobs) images.set(id, toQueued(id, data))
    },
  }
}

type Look = { at: number; outlook: Promise<QueueOutlook>; isUnderWay: boolean; next?: Promise<QueueOutlook> }

type QueueAnswer = [
  isPaused: 0 | 1,
  activeIds: string[],
  progress: string[],
  wait: string,
  prioritized: string,
  times: string[],
]

type QueueState = {
  isPaused: boolean
  active: { image: QueuedImage; progress: ImageProgress | undefined }[]
  waiting: QueuedImage[]
  measured: Measured[]
}

function toLines(text: string): string[] {
  return text === '' ? [] : text.split('\n')
}

function toMeasured(times: string[]): Measured[] {
  return times.flatMap((kind, i) => {
    if (i % 2 === 1) return []
    const read = readBatchKind(kind)
    const measured = BatchTimes.safeParse(JSON.parse(times[i + 1]!)).data
    return measured && read ? [{ ...read, ...measured }] : []
  })
}

function toQueued(id: string, data: ImageJob): QueuedImage {
  const shape = batchShape(data)
  const { width, height, rows } = shape
  const { steps, sampler, guidance, timestepSpacing, strength, previews } = data
  const settings = [steps, sampler, guidance, timestepSpacing, strength, previews]
  const group = [width, height, rows, ...settings].join()
  return { id, shape, group, steps: drawnSteps(data), isFromImage: strength !== undefined }
}
