import type { ImagesResource } from '@sdcpu/contract'
import { type Entry, isSettled, missing } from '../gallery/entry.ts'
import type { GalleryStore } from '../gallery/gallery-store.ts'
import { isTerminal, secondsLeft } from '../progress.ts'
import { ApiError, askAgain, fetchPicture } from './call-api.ts'

// A step takes from half a second up; asking more often would show nothing more.
const MIN_POLL_MS = 600
const MAX_RUNNING_POLL_MS = 2_000
const MAX_QUEUED_POLL_MS = 5_000
const HIDDEN_POLL_MS = 5_000 // nobody looks, but the title of the tab tells when it is done
const MIN_AWAY_POLL_MS = 2_000
const MAX_AWAY_POLL_MS = 30_000

/** Asks how far a request is. */
export function getImages(id: string, signal?: AbortSignal): Promise<ImagesResource> {
  return askAgain(`api/v1/images/${encodeURIComponent(id)}`, { signal })
}

/**
 * Brings an entry up to date: asks the API, and keeps the bytes of each picture as soon as it is there, because the
 * API keeps them for a limited time only.
 * @throws ApiError when the API cannot be asked
 */
export async function followImages(entry: Entry, store: GalleryStore, signal?: AbortSignal): Promise<Entry> {
  const resource = await getImages(entry.id, signal).catch((error: unknown) => {
    if (isForgotten(error)) return undefined
    throw error
  })
  const next = resource
    ? await keepPictures({ ...entry, resource }, store, signal)
    : { ...entry, isForgotten: true }
  if (next.resource.status === 'running') next.runningSinceMs ??= Date.now()
  if (isTerminal(next.resource.status)) next.endedAtMs ??= Date.now()
  if (statusesOf(next) !== statusesOf(entry) || isSettled(next)) await store.put(next)
  return next
}

async function keepPictures(entry: Entry, store: GalleryStore, signal?: AbortSignal): Promise<Entry> {
  const kept = [...entry.kept]
  const lost: number[] = []
  for (const { index, url } of missing(entry)) {
    const bytes = await fetchPicture(url, signal).catch((error: unknown) => {
      if (isForgotten(error)) return undefined
      throw error
    })
    if (bytes) {
      await store.putPicture(entry.id, index, bytes)
      kept.push(index)
    } else lost.push(index)
  }
  const images = entry.resource.images.map((image) =>
    lost.includes(image.index) ? { ...image, url: undefined } : image,
  )
  return { ...entry, kept, resource: { ...entry.resource, images } }
}

type PollState = {
  entry: Entry
  error: unknown
  /** Time since the last good answer. */
  ageMs: number
  isHidden: boolean
}

/** Milliseconds until the next question, or `false` when every further answer would be the same. */
export function pollInterval({ entry, error, ageMs, isHidden }: PollState): number | false {
  if (isSettled(entry)) return false
  if (error) return awayInterval(error, ageMs)
  const { status, images } = entry.resource
  // A tenth of what is left: nobody sees the difference, and long waits cost little.
  const wanted = (secondsLeft(images, 0) ?? 0) * 100
  const most = status === 'queued' ? MAX_QUEUED_POLL_MS : MAX_RUNNING_POLL_MS
  const interval = Math.min(most, Math.max(MIN_POLL_MS, wanted))
  return isHidden ? Math.max(HIDDEN_POLL_MS, interval) : interval
}

/** Less and less often the longer nobody has answered, or when the API asks for it. */
export function awayInterval(error: unknown, ageMs: number): number {
  const retryAfterSeconds = error instanceof ApiError ? error.retryAfterSeconds : undefined
  const backedOff = Math.min(MAX_AWAY_POLL_MS, Math.max(MIN_AWAY_POLL_MS, ageMs / 2))
  return Math.max(backedOff, (retryAfterSeconds ?? 0) * 1000)
}

function isForgotten(error: unknown): boolean {
  return error instanceof ApiError && ['image_not_found', 'expired'].includes(error.code)
}

function statusesOf({ resource, kept }: Entry): string {
  return [resource.status, ...resource.images.map(({ status }) => status), kept.length].join()
}
