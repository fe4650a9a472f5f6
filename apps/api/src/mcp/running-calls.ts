import { createHash } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { Caller } from '../caller.ts'
import { reply } from '../redis.ts'

const CANCELED = 'canceled'
const CALL_TTL_SECONDS = 86_400 // longer than any host waits
const CANCELED_TTL_SECONDS = 60 // a cancellation may overtake its call, which comes on another connection

/**
 * The name of a call in Redis. Clients number their calls from 0 or 1, so numbers tell calls apart only within a session,
 * which is a secret of its client.
 */
export function nameCall(call: {
  session: string
  owner: Caller['owner']
  requestId: string | number
}): string {
  return createHash('sha256')
    .update(JSON.stringify([call.session, call.owner, call.requestId]))
    .digest('hex')
}

export type RunningCalls = {
  /** Notes what a call draws before it does; false where the call is canceled already. */
  begin(name: string, imagesId: string): Promise<boolean>
  /** Marks a call as canceled and gives what it draws, as far as is known by now. */
  cancel(name: string): Promise<string | undefined>
  isCanceled(name: string): Promise<boolean>
  end(name: string): Promise<void>
}

/**
 * Knows what the calls of all replicas draw: a call and its cancellation are two HTTP requests, and whoever is between
 * sends them to any replica.
 */
export function createRunningCalls(redis: Redis, prefix: string): RunningCalls {
  const keyOf = (name: string) => `${prefix}:mcp-calls:${name}`

  async function exchange(name: string, value: string, ttlSeconds: number): Promise<string | null> {
    return reply(redis.set(keyOf(name), value, 'EX', ttlSeconds, 'GET'))
  }

  return {
    async begin(name, imagesId) {
      return (await exchange(name, imagesId, CALL_TTL_SECONDS)) !== CANCELED
    },
    async cancel(name) {
      const before = await exchange(name, CANCELED, CANCELED_TTL_SECONDS)
      return before === CANCELED ? undefined : (before ?? undefined)
    },
    async isCanceled(name) {
      return (await reply(redis.get(keyOf(name)))) === CANCELED
    },
    async end(name) {
      await reply(redis.del(keyOf(name)))
    },
  }
}
