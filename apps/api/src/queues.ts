import type { Redis } from 'ioredis'
import { type ImagesQueue, openQueue } from './redis.ts'

/** Gives the queue of a model. */
export type Queues = (model: string) => ImagesQueue

/** Opens the queues of models on one connection, each when it is first asked for. */
export function openQueues(redis: Redis, { prefix }: { prefix: string }): Queues {
  const open = new Map<string, ImagesQueue>()
  return (model) => {
    const queue = open.get(model) ?? openQueue(redis, { model, prefix })
    open.set(model, queue)
    return queue
  }
}
