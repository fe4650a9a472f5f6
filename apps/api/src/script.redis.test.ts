import { connectRedis, RedisConfig } from '@sdcpu/redis'
import { expect, it, onTestFinished } from 'vitest'
import { createScript } from './script.ts'

function connect() {
  const redis = connectRedis(RedisConfig.parse({ REDIS_URL: process.env.TEST_REDIS_URL }), {
    patience: 'endless',
  })
  onTestFinished(() => redis.disconnect())
  return redis
}

it('runs a script that Redis does not know, or has forgotten', async () => {
  const redis = connect()
  const add = createScript<number>(redis, `return ARGV[1] + ARGV[2] -- ${crypto.randomUUID()}`)
  expect(await add([], [1, 2])).toBe(3)
  expect(await add([], [3, 4])).toBe(7)
  await redis.script('FLUSH')
  expect(await add([], [5, 6])).toBe(11)
})

it('says that Redis is unavailable where a script fails', async () => {
  const broken = createScript(connect(), `return redis.call('GET')`)
  await expect(broken([])).rejects.toMatchObject({ code: 'unavailable' })
})
