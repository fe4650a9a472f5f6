import { type ImageJob, type ImageResult, imagesQueueName } from '@sdcpu/contract'
import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { ApiError } from './api-error.ts'

const REPLY_TIMEOUT_MS = 3000 // Redis answers in under a millisecond; past this a caller is better told
const RETRY_AFTER_SECONDS = 2 // as long as the longest wait between two tries to connect

/** Opens the queue of a model's images on a connection of ours. */
export function openQueue(redis: Redis, { model, prefix }: { model: string; prefix: string }): ImagesQueue {
  const queue: ImagesQueue = new Queue(imagesQueueName(model), {
    connection: redis,
    prefix,
    // The check asks once, when first connected; a failure there would spoil the queue for good.
    skipVersionCheck: true,
  })
  queue.on('error', () => {}) // those of the connection, which reports them itself
  return queue
}
export type ImagesQueue = Queue<ImageJob, ImageResult>

/**
 * Waits for a reply of Redis.
 * @throws `unavailable` when there is none in time, or an error
 */
export async function reply<T>(pending: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`no reply in ${REPLY_TIMEOUT_MS} ms`)), REPLY_TIMEOUT_MS)
  try {
    return await Promise.race([pending, late])
  } catch (cause) {
    throw new ApiError('unavailable', 'no reply from Redis', {
      cause,
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    })
  } finally {
    clearTimeout(timer)
  }
}
