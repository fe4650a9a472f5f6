import { leftKey } from '@sdcpu/contract'
import type { FastifyBaseLogger } from 'fastify'
import type { Redis } from 'ioredis'
import { reply } from '../redis.ts'

const TTL_MS = 60_000 // longer than any grace; what a replica that died could not cancel may be taken over until then

export type LostCallers = {
  /** Id of a request like this one whose caller was lost a moment ago; it is now this caller's, and nobody else's. */
  takeOver(digest: string): Promise<string | undefined>
  /** Lets a request be taken over for `graceMs`; where nobody does, calls `cancel`. */
  leave(digest: string, id: string, options: { graceMs: number; cancel: () => Promise<void> }): Promise<void>
  /** Cancels at once what is still waiting for somebody. */
  close(): Promise<void>
}

/**
 * Remembers in Redis, for all replicas, requests whose callers were lost while they waited. A request has one caller at a
 * time: it is handed on, never shared.
 */
export function createLostCallers(
  redis: Redis,
  { prefix, log }: { prefix: string; log: FastifyBaseLogger },
): LostCallers {
  const pending = new Map<NodeJS.Timeout, () => Promise<void>>()

  return {
    async takeOver(digest) {
      return (await reply(redis.spop(leftKey(prefix, digest)))) ?? undefined
    },

    async leave(digest, id, { graceMs, cancel }) {
      const key = leftKey(prefix, digest)
      await reply(redis.multi().sadd(key, id).pexpire(key, TTL_MS).exec())
      const end = async () => {
        pending.delete(timer)
        try {
          // Whoever takes an id out of the set has it: the next caller, or this.
          if ((await reply(redis.srem(key, id))) === 1) await cancel()
        } catch (err) {
          log.warn({ err, id }, 'could not cancel what nobody waits for')
        }
      }
      const timer = setTimeout(end, graceMs)
      pending.set(timer, end)
    },

    async close() {
      for (const [timer, end] of pending) {
        clearTimeout(timer)
        await end()
      }
    },
  }
}
