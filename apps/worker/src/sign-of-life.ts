import { randomUUID } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { WORKER_TTL_SECONDS, type WorkerStatus, workerKey, workersKey } from '@sdcpu/contract'
import type { Engine } from '@sdcpu/diffusion'
import type { FastifyBaseLogger } from 'fastify'
import type { Redis } from 'ioredis'
import type { WorkerConfig } from './config.ts'
import { readCpu } from './cpu-features.ts'
import type { MemoryTable } from './memory.ts'

const INTERVAL_MS = (WORKER_TTL_SECONDS * 1000) / 3
const RATE_MINUTES = 5

export type SignOfLife = {
  /** Of this worker. */
  id: string
  /** Counts images that were drawn just now. */
  countDrawn(images: number): void
  /** Says that this worker is gone, rather than let its last sign run out. */
  stop(): Promise<void>
}

/** Tells every few seconds that this worker is there and how it is. */
export async function startSignOfLife({
  engine,
  memory,
  redis,
  config,
  log,
}: {
  engine: Engine
  memory: MemoryTable
  redis: Redis
  config: WorkerConfig
  log: FastifyBaseLogger
}): Promise<SignOfLife> {
  const id = randomUUID()
  const startedAt = new Date().toISOString()
  const cpu = readCpu()
  const key = workerKey(config.REDIS_PREFIX, config.MODEL_NAME, id)
  const all = workersKey(config.REDIS_PREFIX, config.MODEL_NAME)
  let drawn: { at: number; images: number }[] = []

  function status(): WorkerStatus {
    const since = performance.now() - RATE_MINUTES * 60_000
    drawn = drawn.filter(({ at }) => at > since)
    return {
      id,
      startedAt,
      plan: engine.model.plan,
      threads: config.THREADS ?? availableParallelism(),
      batchMaxSize: config.BATCH_MAX_SIZE,
      cpu,
      ...(Number.isFinite(memory.maxPixels()) && { maxPixels: memory.maxPixels() }),
      rssBytes: process.memoryUsage.rss(),
      imagesPerMinute: drawn.reduce((sum, { images }) => sum + images, 0) / RATE_MINUTES,
    }
  }

  async function tell(): Promise<void> {
    await redis
      .multi()
      .set(key, JSON.stringify(status()), 'EX', WORKER_TTL_SECONDS)
      .sadd(all, id)
      .expire(all, 86_400) // of a model nobody serves any more
      .exec()
  }

  await tell()
  const timer = setInterval(() => {
    if (redis.status === 'ready') tell().catch((err) => log.warn({ err }, 'could not give a sign of life'))
  }, INTERVAL_MS).unref()

  return {
    id,
    countDrawn: (images) => drawn.push({ at: performance.now(), images }),
    async stop() {
      clearInterval(timer)
      if (redis.status === 'ready') await redis.multi().del(key).srem(all, id).exec()
    },
  }
}
