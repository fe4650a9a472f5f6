import {
  ModelDescription,
  modelKey,
  type SystemResource,
  WorkerStatus,
  workerKey,
  workersKey,
} from '@sdcpu/contract'
import type { Redis } from 'ioredis'
import { type ImagesQueue, reply } from './redis.ts'

export type System = {
  /** @throws `unavailable` */
  describe(): Promise<SystemResource>
  /** The workers alive now. @throws `unavailable` */
  findWorkers(): Promise<WorkerStatus[]>
}

/** Tells what the service runs on and how busy it is, from what workers say of themselves. */
export function createSystem({
  redis,
  queue,
  model,
  prefix,
  queueLimit,
}: {
  redis: Redis
  queue: ImagesQueue
  model: string
  prefix: string
  queueLimit: number
}): System {
  async function findWorkers(): Promise<WorkerStatus[]> {
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

  return {
    findWorkers,
    async describe() {
      const announced = await reply(redis.get(modelKey(prefix, model)))
      const counts = await reply(queue.getJobCounts('waiting', 'prioritized', 'active'))
      const isPaused = await reply(queue.isPaused())
      const workers = await findWorkers()
      return {
        model: announced === null ? undefined : ModelDescription.parse(JSON.parse(announced)),
        queue: {
          waiting: (counts.waiting ?? 0) + (counts.prioritized ?? 0),
          limit: queueLimit,
          active: counts.active ?? 0,
          isPaused,
        },
        workers,
        imagesPerMinute: workers.reduce((sum, worker) => sum + worker.imagesPerMinute, 0),
      }
    },
  }
}
