import { type ImageJob, imageJobId, mediaTypeOf, PREVIEW_TTL_SECONDS, previewKey } from '@sdcpu/contract'
import { convertPng, encodePng, type Preview } from '@sdcpu/diffusion'
import type { FastifyBaseLogger } from 'fastify'
import type { Redis } from 'ioredis'

const MAX_PREVIEW_BYTES = 4 * 1024 * 1024 // twice what the grainiest picture of the largest size takes
const MAX_EVENTS = 10_000 // what BullMQ keeps of a queue's events, too

export type Previews = {
  /** Tells those who follow an image what it looks like so far, in the order of the calls. Never fails. */
  publish(image: ImageJob, preview: Preview): void
  /** Resolves when what was published of an image is told. */
  settle(image: ImageJob): Promise<void>
}

/**
 * Publishes previews through Redis: of each image the newest, for half a minute, and an event for each. One that `check`
 * rejects or that is too large is not shown.
 */
export function createPreviews(
  redis: Redis,
  {
    prefix,
    eventsKey,
    check,
    log,
  }: {
    prefix: string
    /** Key of the queue's stream of events. */
    eventsKey: string
    check: (image: ImageJob, file: Uint8Array, mediaType: string) => Promise<void>
    log: FastifyBaseLogger
  },
): Previews {
  const publishing = new Map<string, Promise<void>>()

  async function tell(image: ImageJob, { rgb, width, height, step }: Preview): Promise<void> {
    const { id, index, format = 'png' } = image
    const png = await encodePng(rgb, { width, height })
    const file = format === 'png' ? png : await convertPng(png, format)
    if (file.length > MAX_PREVIEW_BYTES) return
    await check(image, file, mediaTypeOf(format))
    const key = previewKey(prefix, id, index)
    await redis
      .multi()
      .hset(key, { step, file: Buffer.from(file.buffer, file.byteOffset, file.length) })
      .expire(key, PREVIEW_TTL_SECONDS)
      .xadd(eventsKey, 'MAXLEN', '~', MAX_EVENTS, '*', 'event', 'preview', 'jobId', imageJobId(id, index))
      .exec()
  }

  return {
    publish(image, preview) {
      const jobId = imageJobId(image.id, image.index)
      const told = (publishing.get(jobId) ?? Promise.resolve())
        .then(() => tell(image, preview))
        // A preview nobody sees is no reason to lose the image.
        .catch((err) => log.warn({ err, job: jobId }, 'could not show a preview'))
        .finally(() => {
          if (publishing.get(jobId) === told) publishing.delete(jobId)
        })
      publishing.set(jobId, told)
    },
    async settle({ id, index }) {
      await publishing.get(imageJobId(id, index))
    },
  }
}
