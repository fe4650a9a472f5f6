import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { PassThrough } from 'node:stream'
import {
  type ImageJob,
  type ImageResult,
  imageBytesKey,
  imagesQueueName,
  type ModelDescription,
  modelAliveKey,
  modelKey,
  modelNamesKey,
  PictureStoreConfig,
  previewKey,
} from '@sdcpu/contract'
import { connectRedis, RedisConfig } from '@sdcpu/redis'
import { SafetyConfig } from '@sdcpu/safety'
import { type Job, Worker } from 'bullmq'
import type { ApiKey } from '../api-keys.ts'
import { buildApp } from '../app.ts'
import { openQueues } from '../queues.ts'
import { WebhookConfig } from '../webhooks.ts'

const TOKEN = 'test'

const DEMO: ModelDescription = {
  ...{ name: 'demo', plan: 'fp32', family: 'turbo', nativeSize: 256, sizes: ['256x256'] },
  ...{ defaultSteps: 2, maxSteps: 8, defaultGuidance: 1, defaultSampler: 'euler_a' },
  timestepSpacing: 'trailing',
  drawsFromImage: true,
}

/**
 * Builds an API on the tests' real Redis, under a prefix of its own, and a hand that does a worker's work.
 * `url` may name a proxy; `server` another kind of Redis; the hand goes to Redis itself. A demo model is announced unless `isAnnounced` is false;
 * `model` is the default one, null for none.
 */
export async function setUp(
  env: NodeJS.ProcessEnv,
  {
    url,
    server = {},
    queueLimit = 100,
    streamLimit = 100,
    isAnnounced = true,
    model = 'demo',
    apiKeys,
    logPrompts = false,
    log,
    hooks = {},
    heartbeatMs,
    holdMs,
    prefix = `{test-${randomUUID()}}`,
  }: {
    url?: string
    server?: Record<string, string>
    queueLimit?: number
    streamLimit?: number
    isAnnounced?: boolean
    model?: string | null
    apiKeys?: ApiKey[]
    logPrompts?: boolean
    log?: PassThrough
    hooks?: Record<string, string>
    heartbeatMs?: number
    holdMs?: number
    /** Of another API, to be its replica. */
    prefix?: string
  } = {},
) {
  const direct = env.TEST_REDIS_URL
  if (!direct)
    throw new Error('TEST_REDIS_URL is not set; start a Redis and name it, as vitest does from the root')
  const reach = (at: string) => RedisConfig.parse({ REDIS_URL: at, ...server })
  const redis = connectRedis(reach(url ?? direct), { patience: 'none' })
  redis.on('error', () => {})
  if (url === undefined) await once(redis, 'ready')
  const queues = openQueues(redis, { prefix })
  const app = buildApp({
    redis,
    queues,
    apiKeys,
    log,
    heartbeatMs,
    holdMs,
    openConnection: () => connectRedis(reach(url ?? direct), { patience: 'endless' }).on('error', () => {}),
    config: {
      ...PictureStoreConfig.parse(hooks),
      ...SafetyConfig.parse(hooks),
      ...WebhookConfig.parse(hooks),
      MODEL_NAME: model ?? undefined,
      REDIS_PREFIX: prefix,
      QUEUE_LIMIT: queueLimit,
      STREAM_LIMIT: streamLimit,
      TRUST_PROXY: ['loopback'],
      LOG_PROMPTS: logPrompts,
      REQUEST_TIMEOUT_SECONDS: 1,
      RESULT_TTL_SECONDS: 100,
      LOG_LEVEL: log ? 'info' : 'silent',
    },
  })

  const own = connectRedis(reach(direct), { patience: 'endless' })
  own.on('error', () => {})
  const workers = new Map<string, Worker<ImageJob, ImageResult>>()
  const workerOf = (model: string) => {
    const connection = { connection: own, prefix }
    const known = workers.get(model)
    if (known) return known
    const worker = new Worker<ImageJob, ImageResult>(imagesQueueName(model), null, connection)
    worker.on('error', () => {}) // of a Redis that a test takes away
    workers.set(model, worker)
    return worker
  }

  /** Announces a model, as its worker does; without `isAlive` as one that is gone since. */
  async function announce(
    description: Partial<ModelDescription> = {},
    { isAlive = true }: { isAlive?: boolean } = {},
  ): Promise<void> {
    const whole = { ...DEMO, ...description }
    await own.set(modelKey(prefix, whole.name), JSON.stringify(whole))
    await own.sadd(modelNamesKey(prefix), whole.name)
    if (isAlive) await own.set(modelAliveKey(prefix, whole.name), '1', 'EX', 1000)
  }
  if (isAnnounced) await announce()

  return {
    prefix,
    announce,
    app,
    redis: own,
    /** Takes the oldest job, as a worker does that holds it. */
    async take(model = 'demo'): Promise<Job<ImageJob, ImageResult>> {
      const job = await workerOf(model).getNextJob(TOKEN, { block: false })
      if (!job) throw new Error('no job waits')
      return job
    },
    async succeed(job: Job<ImageJob, ImageResult>, bytes: string | Buffer = 'png') {
      const { id, index, seed, width, height, steps, ...settings } = job.data
      await own.set(imageBytesKey(prefix, id, index), bytes)
      const timingsMs = { encodePrompts: 1, steps: [2, 3], decode: 4, encodePng: 5 }
      const told = {
        promptTokens: 3,
        promptChunks: 1,
        warnings: settings.negativePrompt ? ['without effect'] : [],
      }
      await job.moveToCompleted(
        { seed, width, height, steps, timingsMs, batchSize: 1, ...told },
        TOKEN,
        false,
      )
    },
    /** Publishes a preview of a job's image, as its worker does. */
    async show(job: Job<ImageJob, ImageResult>, step: number, file: string) {
      const { id, index } = job.data
      await own.hset(previewKey(prefix, id, index), { step, file })
      const events = workerOf('demo').toKey('events')
      await own.xadd(events, '*', 'event', 'preview', 'jobId', job.id!)
    },
    async fail(job: Job<ImageJob, ImageResult>, reason: string) {
      await job.moveToFailed(new Error(reason), TOKEN, false)
    },
    async close() {
      await app.close()
      for (const worker of workers.values()) await worker.close()
      redis.disconnect()
      own.disconnect()
    },
  }
}
