import { canceledKey, type ImageJob } from '@sdcpu/contract'
import type { Redis } from 'ioredis'

const POLL_MS = 100 // well below the time one segment of a real model takes

type Place = Pick<ImageJob, 'id' | 'index'>

export type Cancellations = {
  /** Tells of each image whether its caller has canceled it. */
  find(images: Place[]): Promise<boolean[]>
  /**
   * Looks again and again until `stop`, and calls `onCanceled` once with the number of each image that is canceled.
   * A question that gets no answer is asked again: nobody loses an image because Redis is away.
   */
  watch(images: Place[], onCanceled: (image: number) => void): { stop(): void }
}

/** Reads what the API was told to cancel. */
export function createCancellations(redis: Redis, prefix: string): Cancellations {
  async function find(images: Place[]): Promise<boolean[]> {
    const answers = await Promise.all(
      images.map(({ id, index }) => redis.sismember(canceledKey(prefix, id), index)),
    )
    return answers.map((answer) => answer === 1)
  }

  return {
    find,
    watch(images, onCanceled) {
      const told = new Set<number>()
      let asking = false
      const timer = setInterval(async () => {
        if (asking) return
        asking = true
        const canceled = await find(images).catch(() => [])
        asking = false
        for (const [image, isCanceled] of canceled.entries()) {
          if (!isCanceled || told.has(image)) continue
          told.add(image)
          onCanceled(image)
        }
      }, POLL_MS)
      return { stop: () => clearInterval(timer) }
    },
  }
}
