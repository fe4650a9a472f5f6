import { BatchTimes, batchKind, batchShape, batchTimesKey, type ImageJob } from '@sdcpu/contract'
import type { StageTimings } from '@sdcpu/diffusion'
import type { Redis } from 'ioredis'

const NEWEST_SHARE = 0.3 // follows a machine that gets busier within a few batches, and forgives one slow one
const TTL_SECONDS = 7 * 86_400

export type BatchTimer = {
  /** Takes a batch that took `ms` in all into account. */
  record(images: ImageJob[], times: { ms: number; timings: StageTimings }): Promise<void>
}

/** Measures how long batches take, for the API to tell callers how long theirs will. */
export function createBatchTimer(
  redis: Redis,
  { prefix, model }: { prefix: string; model: string },
): BatchTimer {
  const key = batchTimesKey(prefix, model)
  return {
    async record(images, { ms, timings: { steps } }) {
      const kind = batchKind(batchShape(images[0]!), images.length)
      const stepsMs = steps.reduce((sum, stepMs) => sum + stepMs, 0)
      const measured = { stepMs: stepsMs / steps.length, restMs: Math.max(0, ms - stepsMs) }
      const earlier = BatchTimes.safeParse(JSON.parse((await redis.hget(key, kind)) ?? 'null')).data
      const mix = (name: keyof BatchTimes) =>
        earlier ? earlier[name] + NEWEST_SHARE * (measured[name] - earlier[name]) : measured[name]
      const times: BatchTimes = { stepMs: mix('stepMs'), restMs: mix('restMs') }
      await redis.multi().hset(key, kind, JSON.stringify(times)).expire(key, TTL_SECONDS).exec()
    },
  }
}
