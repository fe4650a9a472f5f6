import { parseSize, rateKey, unfinishedKey } from '@sdcpu/contract'
import type { Redis } from 'ioredis'
import { ApiError } from './api-error.ts'
import type { Caller } from './caller.ts'
import type { Forecast } from './forecast.ts'
import type { ImagesQueue } from './redis.ts'
import { createScript } from './script.ts'
import { maxPixelsOf, type RecentWorkers } from './system.ts'

const FULL_RETRY_AFTER_SECONDS = 10 // a few batches, where nothing was measured yet
const MAX_RETRY_AFTER_SECONDS = 60 // clients give up on more
const MAX_PRIORITY = 2 ** 21 // BullMQ's
const PRIORITY_SHIFT = 2 ** 32 // of a priority within the score that BullMQ sorts by
const UNFINISHED_TTL_SECONDS = 7 * 86_400

// All questions in one: on a busy machine each answer of Redis is waited for. Gives how many jobs wait, the score of the
// first, and for each set of jobs how many of them are left and how many wait. A job that nobody knows any more, or that
// has ended, is not waited for.
const COUNT = `
local counts = {
  redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2]),
  redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or ''
}
for i = 3, #KEYS do
  local left, waiting = 0, 0
  for _, key in ipairs(redis.call('SMEMBERS', KEYS[i])) do
    local state = redis.call('HMGET', key, 'timestamp', 'finishedOn', 'processedOn')
    if not state[1] or state[2] then redis.call('SREM', KEYS[i], key)
    else
      left = left + 1
      if not state[3] then waiting = waiting + 1 end
    end
  end
  table.insert(counts, { left, waiting })
end
return counts`

const REMEMBER = `
for _, key in ipairs(KEYS) do
  redis.call('SADD', key, unpack(ARGV, 2))
  redis.call('EXPIRE', key, ARGV[1])
end`

// Buckets of one minute's images that run in evenly: what is kept is when one will be full again. All of them have room
// and are taken from, or none is. Gives the number of the first without room, and when it will have it.
const TAKE_FROM_BUCKETS = `
local now = redis.call('TIME')
local nowMs = now[1] * 1000 + math.floor(now[2] / 1000)
local images, fullAtMs = tonumber(ARGV[1]), {}
for i, key in ipairs(KEYS) do
  fullAtMs[i] = math.max(tonumber(redis.call('GET', key) or 0), nowMs) + images * 60000 / ARGV[i + 1]
  local lateMs = fullAtMs[i] - nowMs - 60000
  if lateMs > 0.5 then return { i, math.ceil(lateMs) } end
end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.3f', fullAtMs[i]), 'PX', math.ceil(fullAtMs[i] - nowMs))
end
return { 0, 0 }`

export type Admission = {
  /**
   * Lets a caller ask for `n` more images, and gives the priority of the first; the others have the next ones.
   * @throws `size_too_large`, `rate_limited`, `queue_full`, with the seconds after which there is room
   */
  admit(request: { caller: Caller; model: string; n: number; size: string }): Promise<number>
  /** Counts jobs as waited for by their caller. */
  remember(caller: Caller, queue: ImagesQueue, jobIds: string[]): Promise<void>
}

/**
 * Decides who may ask for how much, and in whose turn it is drawn. Each caller's images stand one behind the other in
 * rounds, and a round draws one image of each: the priority is the round, counted from the one that is drawn now.
 */
export function createAdmission({
  redis,
  queues,
  forecast,
  workers,
  prefix,
  queueLimit,
}: {
  redis: Redis
  queues: (model: string) => ImagesQueue
  forecast: Forecast
  workers: RecentWorkers
  prefix: string
  queueLimit: number
}): Admission {
  const takeFromBuckets = createScript<[number, number]>(redis, TAKE_FROM_BUCKETS)
  const countJobs = createScript<[number, string, [number, number], ...[number, number][]]>(redis, COUNT)
  const rememberJobs = createScript<null>(redis, REMEMBER)

  /** Refuses what no waiting would make room for. */
  function checkPossible({ quotas }: Caller, n: number): void {
    for (const { allows, limits } of quotas) {
      const { imagesPerMinute = Infinity, imagesAtOnce = Infinity } = limits
      if (n > imagesPerMinute)
        throw new ApiError('invalid_request', `n is ${n}; ${allows} ${imagesPerMinute} images a minute`)
      if (n > imagesAtOnce)
        throw new ApiError('invalid_request', `n is ${n}; ${allows} ${imagesAtOnce} images at once`)
    }
  }

  async function takeFromRates({ quotas }: Caller, n: number): Promise<void> {
    const rates = quotas.flatMap(({ of, allows, limits: { imagesPerMinute } }) =>
      imagesPerMinute === undefined ? [] : [{ key: rateKey(prefix, of), allows, imagesPerMinute }],
    )
    if (rates.length === 0) return
    const each = rates.map(({ imagesPerMinute }) => imagesPerMinute)
    const [number, lateMs] = await takeFromBuckets(
      rates.map(({ key }) => key),
      [n, ...each],
    )
    const short = rates[number - 1]
    if (short)
      throw new ApiError('rate_limited', `${short.allows} ${short.imagesPerMinute} images a minute`, {
        retryAfterSeconds: Math.ceil(lateMs / 1000),
      })
  }

  async function count({ turn, quotas }: Caller, model: string): Promise<Counts> {
    const queue = queues(model)
    const sets = [turn, ...quotas.map(({ of }) => of)].map((of) => unfinishedKey(prefix, of))
    const [waiting, score, [, ownWaiting], ...ofQuotas] = await countJobs([
      queue.toKey('wait'),
      queue.toKey('prioritized'),
      ...sets,
    ])
    return {
      waiting,
      round: Math.max(1, Math.floor(Number(score) / PRIORITY_SHIFT)),
      ownWaiting,
      left: ofQuotas.map(([left]) => left),
    }
  }

  async function checkUnfinished(
    { quotas }: Caller,
    counts: Counts,
    { model, n }: { model: string; n: number },
  ): Promise<void> {
    for (const [i, { allows, limits }] of quotas.entries()) {
      const { imagesAtOnce } = limits
      const left = counts.left[i]!
      if (imagesAtOnce !== undefined && left + n > imagesAtOnce)
        throw new ApiError(
          'rate_limited',
          `${allows} ${imagesAtOnce} images waiting or being drawn at once and there are ${left}; there is no room for ${n} more`,
          { retryAfterSeconds: await secondsToRoom(model, 1) },
        )
    }
  }

  // Two requests at the same moment may both be admitted to the last place: the limit guards against a
  // flood, and a lock for exactness would cost every request.
  async function checkRoom({ waiting }: Counts, { model, n }: { model: string; n: number }): Promise<void> {
    if (waiting + n <= queueLimit) return
    throw new ApiError(
      'queue_full',
      `${waiting} images are waiting and the limit is ${queueLimit}; there is no room for ${n} more`,
      { retryAfterSeconds: await secondsToRoom(model, waiting + n - queueLimit) },
    )
  }

  /** Seconds until that many of the images in the queue are drawn. */
  async function secondsToRoom(model: string, images: number): Promise<number> {
    const { outlooks } = await forecast.look(model)
    const etas = [...outlooks.values()].flatMap(({ etaSeconds }) => etaSeconds ?? []).sort((a, b) => a - b)
    const seconds = Math.ceil(etas[images - 1] ?? FULL_RETRY_AFTER_SECONDS)
    return Math.min(Math.max(seconds, 1), MAX_RETRY_AFTER_SECONDS)
  }

  /** Refuses what no worker alive has the memory for; where one has not measured, it may have. */
  async function checkSize(model: string, size: string): Promise<void> {
    const { width, height } = parseSize(size)
    const isTooLarge = (maxPixels: number) => width * height > maxPixels
    if (!isTooLarge(maxPixelsOf(await workers.get(model)))) return
    const maxPixels = maxPixelsOf(await workers.ask(model)) // nothing is refused that a new worker has room for
    if (isTooLarge(maxPixels))
      throw new ApiError(
        'size_too_large',
        `size is ${size}, ${width * height} pixels; the workers have memory for ${maxPixels}`,
      )
  }

  return {
    async admit({ caller, model, n, size }) {
      checkPossible(caller, n)
      const counting = count(caller, model)
      counting.catch(() => {}) // of what is too large nobody cares whether there is room
      await checkSize(model, size)
      const counts = await counting
      await checkRoom(counts, { model, n })
      await checkUnfinished(caller, counts, { model, n })
      await takeFromRates(caller, n) // last, since it is used up by asking
      return Math.min(counts.round + counts.ownWaiting, MAX_PRIORITY - n)
    },

    async remember({ turn, quotas }, queue, jobIds) {
      const jobKeys = jobIds.map((jobId) => queue.toKey(jobId))
      const callers = new Set([turn, ...quotas.map(({ of }) => of)])
      const sets = [...callers].map((of) => unfinishedKey(prefix, of))
      await rememberJobs(sets, [UNFINISHED_TTL_SECONDS, ...jobKeys])
    },
  }
}

type Counts = {
  /** In the queue. */
  waiting: number
  /** That is drawn now. */
  round: number
  /** Of the caller's. */
  ownWaiting: number
  /** Of each quota's. */
  left: number[]
}
