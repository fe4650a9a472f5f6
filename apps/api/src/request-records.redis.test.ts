import { connectRedis, RedisConfig } from '@sdcpu/redis'
import { expect, it, onTestFinished } from 'vitest'
import { createRequestRecords, type RequestRecord } from './request-records.ts'

const request = {
  ...{ model: 'demo', prompt: 'a red fox', n: 1, size: '64x64', steps: 2, format: 'png' as const },
}

it('keeps the first of two requests with one id, and changes nothing for the second', async () => {
  const redis = connectRedis(RedisConfig.parse({ REDIS_URL: process.env.TEST_REDIS_URL }), {
    patience: 'endless',
  })
  onTestFinished(() => redis.disconnect())
  const prefix = `{test-${crypto.randomUUID()}}`
  const records = createRequestRecords({ redis, prefix, resultTtlSeconds: 100 })
  const recordOf = (owner: string, seed: number): RequestRecord => ({
    ...{ id: 'one', createdAt: new Date().toISOString(), owner, request: { ...request, seed } },
  })
  const [first, second] = [recordOf('first', 1), recordOf('second', 2)]

  expect(await records.save(first)).toBe(true)
  expect(await records.save(second)).toBe(false)
  expect(await records.find('one')).toEqual(first)
  expect((await records.list('first', { limit: 10 })).records).toEqual([first])
  expect((await records.list('second', { limit: 10 })).records).toEqual([])
})
