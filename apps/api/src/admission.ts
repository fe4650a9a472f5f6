import { parseSize, rateKey, unfinishedKey } from '@sdcpu/contract'
import type { Redis } from 'ioredis'
import { ApiError } from './api-error.ts'
import type { Caller } from './caller.ts'
import type { Forecast } from './forecast.ts'
import { type ImagesQueue, reply } from './redis.ts'
import { findMaxPixels } from './system.ts'

const FULL_RETRY_AFTER_SECONDS = 10 // a few batches, where nothing was measured yet
const MAX_RETRY_AFTER_SECONDS = 60 // clients give up on more
const MAX_PRIORITY = 2 ** 21 // BullMQ's
const PRIORITY_SHIFT = 2 ** 32 // of a priority within the score that BullMQ sorts by
const UNFINISHED_TTL_SECONDS = 7 * 86_400

// A job that nobody knows any more, or that has ended, is not waited for.
const COUNT_UNFINISHED = `
local left, waiting = 0, 0
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local state = redis.call('HMGET', key, 'timestamp', 'finishedOn', 'processedOn')
  if not state[1] or state[2] then redis.call('SREM', KEYS[1], key)
  else
    left = left + 1
    if not state[3] then waiting = waiting + 1 end
  end
end
return { left, waiting }`

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
  prefix,
  queueLimit,
}: {
  redis: Redis
  queues: (model: string) => ImagesQueue
  forecast: Forecast
  prefix: string
  queueLimit: number
}): Admission {
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
    const keys = rates.map(({ key }) => key)
    const each = rates.map(({ imagesPerMinute }) => imagesPerMinute)
    const taking = redis.eval(TAKE_FROM_BUCKETS, keys.length, ...keys, n, ...each)
    const [number, lateMs] = await reply(taking as Promise<[number, number]>)
    const short = rates[number - 1]
    if (short)
      throw new ApiError('rate_limited', `${short.allows} ${short.imagesPerMinute} images a minute`, {
        retryAfterSeconds: Math.ceil(lateMs / 1000),
      })
  }

  async function countUnfinished(of: string): Promise<{ left: number; waiting: number }> {
    const counts = redis.eval(COUNT_UNFINISHED, 1, unfinishedKey(prefix, of))
    const [left, waiting] = await reply(counts as Promise<[number, number]>)
    return { left, waiting }
  }

  async function checkUnfinished({ quotas }: Caller, { model, n }: { model: string; n: number }) {
    for (const { of, allows, limits } of quotas) {
      const { imagesAtOnce } = limits
      if (imagesAtOnce === undefined) continue
      const { left } = await countUnfinished(of)
      if (left + n > imagesAtOnce)
        throw new ApiError(
          'rate_limited',
          `${allows} ${imagesAtOnce} images waiting or being drawn at once and there are ${left}; there is no room for ${n} more`,
          { retryAfterSeconds: await secondsToRoom(model, 1) },
        )
    }
  }

  // Two requests at the same moment may both be admitted to the last place: the limit guards against a
  // flood, and a lock for exactness would cost every request.
  async function findRoom(model: string, n: number): Promise<void> {
    const counts = await reply(queues(model).getJobCounts('waiting', 'prioritized'))
    const waiting = (counts.waiting ?? 0) + (counts.prioritized ?? 0)
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
    const maxPixels = await findMaxPixels(redis, { prefix, model })
    if (width * height > maxPixels)
      throw new ApiError(
        'size_too_large',
        `size is ${size}, ${width * height} pixels; the workers have memory for ${maxPixels}`,
      )
  }

  async function currentRound(model: string): Promise<number> {
    const [, score] = await reply(redis.zrange(queues(model).toKey('prioritized'), '0', '0', 'WITHSCORES'))
    return score === undefined ? 1 : Math.max(1, Math.floor(Number(score) / PRIORITY_SHIFT))
  }

  return {
    async admit({ caller, model, n, size }) {
      checkPossible(caller, n)
      // All questions at once: on a busy machine each answer of Redis is waited for. The first refusal in this order counts.
      const counting = countUnfinished(caller.turn)
      const finding = currentRound(model)
      const checks = [checkSize(model, size), findRoom(model, n), checkUnfinished(caller, { model, n })]
      for (const outcome of await Promise.allSettled([...checks, counting, finding]))
        if (outcome.status === 'rejected') throw outcome.reason
      await takeFromRates(caller, n) // last, since it is used up by asking
      return Math.min((await finding) + (await counting).waiting, MAX_PRIORITY - n)
    },

    async remember({ turn, quotas }, queue, jobIds) {
      const jobKeys = jobIds.map((jobId) => queue.toKey(jobId))
      const writing = redis.multi()
      for (const of of new Set([turn, ...quotas.map((quota) => quota.of)])) {
        const key = unfinishedKey(prefix, of)
        writing.sadd(key, jobKeys).expire(key, UNFINISHED_TTL_SECONDS)
      }
      await reply(writing.exec())
    },
  }
}
