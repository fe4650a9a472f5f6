import { type ImagesResource, isTerminal } from '@sdcpu/contract'
import type { FastifyReply } from 'fastify'
import { followImages, type Update } from './follow-images.ts'
import type { Images } from './images.ts'
import type { JobEvents } from './job-events.ts'
import type { RequestRecord } from './request-records.ts'

/**
 * Waits until a request is over and gives it as it ended, or undefined when `signal` was aborted before that.
 * @throws `unavailable`
 */
export async function waitForImages(
  source: { images: Images; events: JobEvents },
  record: RequestRecord,
  { signal, onUpdate }: { signal: AbortSignal; onUpdate?: (update: Update) => void },
): Promise<ImagesResource | undefined> {
  try {
    for await (const update of followImages(source, record, { signal })) {
      onUpdate?.(update)
      if (update.name === 'images' && isTerminal(update.data.status)) return update.data
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
  return undefined
}

/** Calls `listener` when the caller hangs up, or at once where it has done so already. Gives what ends that. */
export function onHangUp({ raw }: FastifyReply, listener: () => void): () => void {
  raw.once('close', listener)
  if (raw.destroyed) listener()
  return () => raw.off('close', listener)
}
