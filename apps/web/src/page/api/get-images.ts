import type { ImagesResource } from '@sdcpu/contract'
import { queryOptions, useQuery } from '@tanstack/react-query'
import { isTerminal } from '../progress.ts'
import { ApiError, callApi } from './call-api.ts'

// A step takes from half a second up; asking more often would show nothing more.
const POLL_MS = 500
const POLL_WHEN_AWAY_MS = 2000

/** Asks how far a request is. */
export function getImages(id: string, signal?: AbortSignal): Promise<ImagesResource> {
  return callApi(`api/v1/images/${encodeURIComponent(id)}`, { signal })
}

export function imagesQuery(id: string) {
  return queryOptions({
    queryKey: ['images', id],
    queryFn: ({ signal }) => getImages(id, signal),
    refetchInterval: ({ state }) => pollInterval(state.data, state.error),
  })
}

/** Follows a request until it is over; the polling stops itself. */
export function useImages(id: string) {
  return useQuery(imagesQuery(id))
}

/** Milliseconds until the next question, or `false` when every further answer would be the same. */
export function pollInterval(images: ImagesResource | undefined, error: unknown): number | false {
  if (images && isTerminal(images.status)) return false
  if (!error) return POLL_MS
  const isLost = error instanceof ApiError && ['image_not_found', 'expired'].includes(error.code)
  if (isLost) return false
  const retryAfterSeconds = error instanceof ApiError ? error.retryAfterSeconds : undefined
  return retryAfterSeconds ? retryAfterSeconds * 1000 : POLL_WHEN_AWAY_MS
}
