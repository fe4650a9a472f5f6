import { type Model, type SystemResource, WorkerStatus, workerKey, workersKey } from '@sdcpu/contract'
import type { Redis } from 'ioredis'
import type { Models } from './models.ts'
import type { Queues } from './queues.ts'
import { createRecent, type Recent } from './recent.ts'
import { reply } from './redis.ts'

const MAX_AGE_MS = 500 // a sign of life holds for seconds

export type System = {
  /** @throws `unavailable` */
  describe(): Promise<SystemResource>
}

/** Tells what the service runs on and how busy it is, from what workers say of themselves. */
export function createSystem({
  redis,
  queues,
  models,
  prefix,
  queueLimit,
}: {
  redis: Redis
  queues: Queues
  models: Models
  prefix: string
  queueLimit: number
}): System {
  async function describeModel({ name, plan, isDefault }: Model): Promise<SystemResource['models'][number]> {
    const queue = queues(name)
    const counts = await reply(queue.getJobCounts('waiting', 'prioritized', 'active'))
    const isPaused = await reply(queue.isPaused())
    const workers = await findWorkers(redis, { prefix, model: name })
    return {
      name,
      plan,
      isDefault,
      queue: {
        waiting: (counts.waiting ?? 0) + (counts.prioritized ?? 0),
        limit: queueLimit,
        active: counts.active ?? 0,
        isPaused,
      },
      workers,
      imagesPerMinute: workers.reduce((sum, worker) => sum + worker.imagesPerMinute, 0),
    }
  }

  return {
    async describe() {
      return { models: await Promise.all((await models.list()).map(describeModel)) }
    },
  }
}

export type WorkerSource = { redis: Redis; prefix: string }

/** The workers of a model that are alive now. @throws `unavailable` */
export async function findWorkers(
  redis: Redis,
  { prefix, model }: { prefix: string; model: string },
): Promise<WorkerStatus[]> {
  const all = workersKey(prefix, model)
  const ids = await reply(redis.smembers(all))
  if (ids.length === 0) return []
  const signs = await reply(redis.mget(ids.map((id) => workerKey(prefix, model, id))))
  const dead = ids.filter((_, i) => !signs[i])
  if (dead.length > 0) await reply(redis.srem(all, ...dead))
  return signs.flatMap((sign) => {
    const status = WorkerStatus.safeParse(JSON.parse(sign ?? 'null')) // another version may say less
    return status.success ? [status.data] : []
  })
}

/** The workers of a model that were alive a moment ago. */
export type RecentWorkers = Recent<WorkerStatus[]>

/** Remembers for a moment which workers there are; that there are none it asks again each time. */
export function createRecentWorkers(redis: Redis, prefix: string): RecentWorkers {
  return createRecent((model) => findWorkers(redis, { prefix, model }), {
    maxAgeMs: MAX_AGE_MS,
    isLasting: (workers) => workers.length > 0,
  })
}

/** Pixels of the largest image that one of the workers has memory for; Infinity where that is not known. */
export function maxPixelsOf(workers: WorkerStatus[]): number {
  return workers.length > 0 ? Math.max(...workers.map(({ maxPixels = Infinity }) => maxPixels)) : Infinity
}
