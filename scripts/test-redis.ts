import { startRedis } from './redis.ts'

/** Gives the tests a Redis of their own, at TEST_REDIS_URL, and takes it away after them. */
export default async function provideTestRedis(): Promise<() => Promise<void>> {
  const redis = await startRedis({ log: console.error })
  process.env.TEST_REDIS_URL = redis.url
  return redis.stop
}
