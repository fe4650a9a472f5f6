import type { Redis } from 'ioredis'
import { z } from 'zod'
import { reply } from '../redis.ts'

const KEPT_SECONDS = 86_400 // no request is waited for that long
const ENDED_KEPT_MS = 10 * 60_000 // so that a client that asks late is told of its end
const LOST_MS = 60_000 // a task without a place in the queue is confirmed several times in that

/** What a caller waits for on a connection, as AUTOMATIC1111 counts it. */
export const Task = z.object({
  /** Of the request for images; there is none while it waits for room in the queue. */
  id: z.string(),
  /** What the client calls it. */
  taskId: z.string(),
  job: z.enum(['scripts_txt2img', 'scripts_img2img']),
  n: z.int(),
  startedAtMs: z.number(),
  /** When it was last known to be waited for. */
  seenAtMs: z.number(),
  isEnded: z.boolean().optional(),
})
export type Task = z.infer<typeof Task>

export type Tasks = {
  /** Keeps a task, or what has changed of it. @throws `unavailable` */
  keep(turn: string, task: Task): Promise<void>
  /** A caller's, oldest first. @throws `unavailable` */
  list(turn: string): Promise<Task[]>
  /** Has a task given up, whether it has a place in the queue or not. @throws `unavailable` */
  giveUp(id: string): Promise<void>
  isGivenUp(id: string): Promise<boolean>
}

/** Keeps what callers wait for where all replicas of the API see it: a client may interrupt at another one. */
export function createTasks({ redis, prefix }: { redis: Redis; prefix: string }): Tasks {
  const keyOf = (turn: string) => `${prefix}:a1111-tasks:${turn}`
  const givenUpKey = (id: string) => `${prefix}:a1111-given-up:${id}`

  return {
    async keep(turn, task) {
      const key = keyOf(turn)
      await reply(redis.multi().hset(key, task.id, JSON.stringify(task)).expire(key, KEPT_SECONDS).exec())
    },

    async list(turn) {
      const values = Object.values(await reply(redis.hgetall(keyOf(turn))))
      const tasks = values.map((value) => Task.parse(JSON.parse(value)))
      const now = Date.now()
      const old = tasks.filter(({ isEnded, seenAtMs }) => isEnded && now - seenAtMs > ENDED_KEPT_MS)
      if (old.length > 0) await reply(redis.hdel(keyOf(turn), ...old.map(({ id }) => id)))
      return tasks.filter((task) => !old.includes(task)).toSorted((a, b) => a.startedAtMs - b.startedAtMs)
    },

    async giveUp(id) {
      await reply(redis.set(givenUpKey(id), '1', 'EX', KEPT_SECONDS))
    },

    async isGivenUp(id) {
      return (await reply(redis.exists(givenUpKey(id)))) === 1
    },
  }
}

/** Whether nobody waits any more for a task that has no place in the queue: the API that held it has died. */
export function isLost({ seenAtMs }: Task): boolean {
  return Date.now() - seenAtMs > LOST_MS
}
