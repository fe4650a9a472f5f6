import type { ImageStatus } from '@sdcpu/contract'
import type { JobState } from 'bullmq'

/**
 * The status of an image, made of BullMQ's state of its job. A worker holds more jobs than it draws, and all
 * of them are `active`: an image runs once it was begun. A job nobody knows any more has failed.
 */
export function toImageStatus(state: JobState | 'unknown', isBegun: boolean): ImageStatus {
  switch (state) {
    case 'completed':
      return 'succeeded'
    case 'failed':
    case 'unknown':
      return 'failed'
    case 'active':
      return isBegun ? 'running' : 'queued'
    case 'waiting':
    case 'waiting-children':
    case 'prioritized':
    case 'delayed':
      return 'queued'
  }
}

/** The status of a request, made of those of its images. */
export function toRequestStatus(images: ImageStatus[]): ImageStatus {
  const all = (status: ImageStatus) => images.every((image) => image === status)
  const some = (status: ImageStatus) => images.includes(status)
  if (all('succeeded')) return 'succeeded'
  if (all('queued')) return 'queued'
  if (some('queued') || some('running')) return 'running'
  return some('failed') ? 'failed' : 'canceled'
}
