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
    async record(images, { ms, timings: { steps, encodeImage } }) {
      const kind = batchKind(batchShape(images[0]!), images.length)
      const stepsMs = steps.reduce((sum, stepMs) => sum + stepMs, 0)
      const restMs = Math.max(0, ms - stepsMs - (encodeImage ?? 0))
      const earlier = BatchTimes.safeParse(JSON.parse((await redis.hget(key, kind)) ?? 'null')).data
      // The first batch of a kind pays for memory that later ones find; it counts only until there is a second.
      const share = earlier && earlier.batches > 1 ? NEWEST_SHARE : 1
      const mix = (now: number, before = now) => before + share * (now - before)
      const batches = (earlier?.batches ?? 0) + 1
      const times: BatchTimes = {
        stepMs: mix(stepsMs / steps.length, earlier?.stepMs),
        restMs: mix(restMs, earlier?.restMs),
        encodeImageMs:
          encodeImage === undefined ? earlier?.encodeImageMs : mix(encodeImage, earlier?.encodeImageMs),
        batches,
      }
      await redis.multi().hset(key, kind, JSON.stringify(times)).expire(key, TTL_SECONDS).exec()
    },
  }
}
