import { canceledKey, imageJobId, knownForSeconds } from '@sdcpu/contract'
import type { Redis } from 'ioredis'
import { type ImagesQueue, reply } from './redis.ts'

const MAX_EVENTS = 10_000 // what BullMQ keeps of a queue's events, too

// In one script, so that an image somebody has seen drawn is never called canceled after.
const MARK_CANCELED = `
if redis.call('EXISTS', KEYS[2]) == 0 or redis.call('HEXISTS', KEYS[2], 'finishedOn') == 1 then return 0 end
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1`

/**
 * Cancels what of a request is not drawn yet: jobs that wait are removed; those a worker holds it gives up by itself,
 * because it looks whether they are canceled. Gives how many were canceled now.
 */
export async function cancelJobs(
  { redis, queue, prefix, resultTtlSeconds }: CancelDeps,
  { id, indexes }: { id: string; indexes: number[] },
): Promise<number> {
  const marked = await Promise.all(indexes.map(cancelJob))
  const jobIds = indexes.flatMap((index, i) => (marked[i] ? [imageJobId(id, index)] : []))
  for (const jobId of jobIds)
    await reply(
      redis.xadd(queue.toKey('events'), 'MAXLEN', '~', MAX_EVENTS, '*', 'event', 'canceled', 'jobId', jobId),
    )

  return jobIds.length

  async function cancelJob(index: number): Promise<boolean> {
    const jobId = imageJobId(id, index)
    const keys = [canceledKey(prefix, id), queue.toKey(jobId)]
    const isMarked = await reply(
      redis.eval(MARK_CANCELED, keys.length, ...keys, index, knownForSeconds(resultTtlSeconds)),
    )
    if (isMarked === 1) await reply(queue.remove(jobId))
    return isMarked === 1
  }
}

type CancelDeps = { redis: Redis; queue: ImagesQueue; prefix: string; resultTtlSeconds: number }
