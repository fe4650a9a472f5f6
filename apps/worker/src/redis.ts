import type { Redis } from 'ioredis'

const PING_TIMEOUT_MS = 1000 // a readiness probe gives up soon after

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
