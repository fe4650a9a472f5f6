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

// A bucket of one minute's images that runs in evenly: what is kept is when it will be full again.
const TAKE_FROM_BUCKET = `
local now = redis.call('TIME')
local nowMs = now[1] * 1000 + math.floor(now[2] / 1000)
local perImageMs, images = 60000 / ARGV[1], tonumber(ARGV[2])
local fullAtMs = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), nowMs) + images * perImageMs
local lateMs = fullAtMs - nowMs - 60000
if lateMs > 0.5 then return math.ceil(lateMs) end
redis.call('SET', KEYS[1], string.format('%.3f', fullAtMs), 'PX', math.ceil(fullAtMs - nowMs))
return 0`

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
  async function takeFromRate({ turn, limits }: Caller, n: number): Promise<void> {
    const { imagesPerMinute } = limits
    if (imagesPerMinute === undefined) return
    if (n > imagesPerMinute)
      throw new ApiError('invalid_request', `n is ${n}; your key allows ${imagesPerMinute} images a minute`)
    const lateMs = await reply(
      redis.eval(TAKE_FROM_BUCKET, 1, rateKey(prefix, turn), imagesPerMinute, n) as Promise<number>,
    )
    if (lateMs > 0)
      throw new ApiError('rate_limited', `your key allows ${imagesPerMinute} images a minute`, {
        retryAfterSeconds: Math.ceil(lateMs / 1000),
      })
  }

  async function countUnfinished({ turn }: Caller): Promise<{ left: number; waiting: number }> {
    const counts = redis.eval(COUNT_UNFINISHED, 1, unfinishedKey(prefix, turn))
    const [left, waiting] = await reply(counts as Promise<[number, number]>)
    return { left, waiting }
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
      await checkSize(model, size)
      await findRoom(model, n)
      const { left, waiting } = await countUnfinished(caller)
      const { imagesAtOnce } = caller.limits
      if (imagesAtOnce !== undefined && left + n > imagesAtOnce)
        throw new ApiError(
          'rate_limited',
          `your key has ${left} images waiting or being drawn and may have ${imagesAtOnce}; there is no room for ${n} more`,
          { retryAfterSeconds: await secondsToRoom(model, 1) },
        )
      await takeFromRate(caller, n) // last, since it is used up by asking
      return Math.min((await currentRound(model)) + waiting, MAX_PRIORITY - n)
    },

    async remember({ turn }, queue, jobIds) {
      const key = unfinishedKey(prefix, turn)
      const keys = jobIds.map((jobId) => queue.toKey(jobId))
      await reply(redis.multi().sadd(key, keys).expire(key, UNFINISHED_TTL_SECONDS).exec())
    },
  }
}
