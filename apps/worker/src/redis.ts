import { Redis } from 'ioredis'

const PING_TIMEOUT_MS = 1000 // a readiness probe gives up soon after

/** Connects to Redis and keeps trying: a worker has nothing better to do than to wait for it. */
export function connectRedis(url: string): Redis {
  return new Redis(url, {
    maxRetriesPerRequest: null, // BullMQ asks for it: its blocking reads outlive a lost connection
    retryStrategy: (attempt) => Math.min(attempt * 200, 2000),
  })
}

/** Tells whether Redis answers now; never waits for a lost connection to come back. */
export async function redisAnswers(redis: Redis): Promise<boolean> {
  if (redis.status !== 'ready') return false
  const late = new Promise<false>((resolve) => setTimeout(resolve, PING_TIMEOUT_MS, false).unref())
  return Promise.race([
    redis.ping().then(
      () => true,
      () => false,
    ),
    late,
  ])
}
