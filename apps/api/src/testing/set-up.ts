import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import {
  type ImageJob,
  type ImageResult,
  imageBytesKey,
  type ModelDescription,
  modelKey,
} from '@sdcpu/contract'
import { connectRedis, RedisConfig } from '@sdcpu/redis'
import { type Job, Worker } from 'bullmq'
import { buildApp } from '../app.ts'
import { openQueue } from '../redis.ts'

const TOKEN = 'test'

/**
 * Builds an API on the tests' real Redis, under a prefix of its own, and a hand that does a worker's work.
 * `url` may name a proxy, and `server` another kind of Redis; the hand goes to Redis itself.
 */
export async function setUp(
  env: NodeJS.ProcessEnv,
  {
    url,
    server = {},
    queueLimit = 100,
    streamLimit = 100,
  }: { url?: string; server?: Record<string, string>; queueLimit?: number; streamLimit?: number } = {},
) {
  const direct = env.TEST_REDIS_URL
  if (!direct)
    throw new Error('TEST_REDIS_URL is not set; start a Redis and name it, as vitest does from the root')
  const names = { model: 'demo', prefix: `{test-${randomUUID()}}` }
  const reach = (at: string) => RedisConfig.parse({ REDIS_URL: at, ...server })
  const redis = connectRedis(reach(url ?? direct), { patience: 'none' })
  redis.on('error', () => {})
  if (url === undefined) await once(redis, 'ready')
  const queue = openQueue(redis, names)
  const app = buildApp({
    redis,
    queue,
    openConnection: () => connectRedis(reach(url ?? direct), { patience: 'endless' }).on('error', () => {}),
    config: {
      MODEL: names.model,
      REDIS_PREFIX: names.prefix,
      QUEUE_LIMIT: queueLimit,
      STREAM_LIMIT: streamLimit,
      RESULT_TTL_SECONDS: 100,
      LOG_LEVEL: 'silent',
    },
  })

  const own = connectRedis(reach(direct), { patience: 'endless' })
  own.on('error', () => {})
  const worker = new Worker<ImageJob, ImageResult>(queue.name, null, {
    connection: own,
    prefix: names.prefix,
  })

  worker.on('error', () => {}) // of a Redis that a test takes away

  return {
    ...names,
    app,
    redis: own,
    async announce(description: Partial<ModelDescription> = {}) {
      const whole = { name: 'demo', plan: 'fp32', nativeSize: 256, defaultSteps: 2, ...description }
      await own.set(modelKey(names.prefix, names.model), JSON.stringify(whole))
    },
    /** Takes the oldest job, as a worker does that holds it. */
    async take(): Promise<Job<ImageJob, ImageResult>> {
      const job = await worker.getNextJob(TOKEN, { block: false })
      if (!job) throw new Error('no job waits')
      return job
    },
    async succeed(job: Job<ImageJob, ImageResult>, bytes = 'png') {
      const { id, index, seed, width, height, steps } = job.data
      await own.set(imageBytesKey(names.prefix, id, index), bytes)
      const timingsMs = { encodePrompts: 1, steps: [2, 3], decode: 4, encodePng: 5 }
      await job.moveToCompleted({ seed, width, height, steps, timingsMs, batchSize: 1 }, TOKEN, false)
    },
    async fail(job: Job<ImageJob, ImageResult>, reason: string) {
      await job.moveToFailed(new Error(reason), TOKEN, false)
    },
    async close() {
      await app.close()
      await worker.close()
      redis.disconnect()
      own.disconnect()
    },
  }
}
