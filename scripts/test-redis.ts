import { findRedis, startRedis } from './redis.ts'

/**
 * Gives the tests a Redis of their own, at TEST_REDIS_URL, and takes it away after them; TEST_REDIS_SERVER is the program
 * for those that start other kinds of it.
 */
export default async function provideTestRedis(): Promise<() => Promise<void>> {
  const redis = await startRedis({ log: console.error })
  process.env.TEST_REDIS_URL = redis.url
  process.env.TEST_REDIS_SERVER = await findRedis(console.error)
  return redis.stop
}
