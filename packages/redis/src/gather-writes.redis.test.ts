import { once } from 'node:events'
import { expect, it, onTestFinished, vi } from 'vitest'
import { connectRedis } from './connect-redis.ts'
import { RedisConfig } from './redis-config.ts'

async function connect() {
  const redis = connectRedis(RedisConfig.parse({ REDIS_URL: process.env.TEST_REDIS_URL }), {
    patience: 'none',
  })
  onTestFinished(() => redis.disconnect())
  await once(redis, 'ready')
  return redis
}

it('sends what is asked in one turn at once, and in its order', async () => {
  const redis = await connect()
  const [single, several] = ['_write', '_writev'].map((name) => vi.spyOn(redis.stream, name as '_write'))
  const key = `{test-${crypto.randomUUID()}}`
  const answers = await Promise.all([redis.incr(key), redis.incr(key), redis.incr(key), redis.del(key)])
  expect(answers).toEqual([1, 2, 3, 1])
  expect([single!.mock.calls.length, several!.mock.calls.length]).toEqual([0, 1])
})

it('goes on after the connection was lost in the middle of a turn', async () => {
  const redis = await connect()
  const lost = redis.ping()
  redis.stream.destroy()
  await expect(lost).rejects.toThrow()
  await once(redis, 'ready')
  expect(await redis.ping()).toBe('PONG')
})
