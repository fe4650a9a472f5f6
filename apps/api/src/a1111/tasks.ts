import type { Redis } from 'ioredis'
import { z } from 'zod'
import { reply } from '../redis.ts'

const KEPT_SECONDS = 86_400 // no request is waited for that long
const ENDED_KEPT_SECONDS = 600 // so that a client that asks late is told of its end
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
})
export type Task = z.infer<typeof Task>

export type Tasks = {
  /** Keeps a task, seen now. @throws `unavailable` */
  keep(turn: string, task: Task): Promise<void>
  /** @throws `unavailable` */
  end(turn: string, task: Task): Promise<void>
  /** Whether a task of that name has ended lately. @throws `unavailable` */
  hasEnded(turn: string, taskId: string): Promise<boolean>
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

  const endedKey = (turn: string, taskId: string) => `${prefix}:a1111-ended:${turn}:${taskId}`

  return {
    async keep(turn, task) {
      const key = keyOf(turn)
      const text = JSON.stringify({ ...task, seenAtMs: Date.now() })
      await reply(redis.multi().hset(key, task.id, text).expire(key, KEPT_SECONDS).exec())
    },

    async end(turn, { id, taskId }) {
      const ended = endedKey(turn, taskId)
      await reply(redis.multi().hdel(keyOf(turn), id).set(ended, '1', 'EX', ENDED_KEPT_SECONDS).exec())
    },

    async hasEnded(turn, taskId) {
      return (await reply(redis.exists(endedKey(turn, taskId)))) === 1
    },

    async list(turn) {
      const values = Object.values(await reply(redis.hgetall(keyOf(turn))))
      const tasks = values.flatMap((value) => Task.safeParse(JSON.parse(value)).data ?? [])
      // Of an API that died, which ended none of its tasks.
      const old = tasks.filter(({ seenAtMs }) => Date.now() - seenAtMs > KEPT_SECONDS * 1000)
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
