import type { ImagesList, ImagesResource } from '@sdcpu/contract'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { toEntry } from '../gallery/entry.ts'
import { useGalleryStore } from '../gallery/gallery-context.ts'
import { GALLERY_KEY } from '../gallery/use-gallery.ts'
import { callApi } from './call-api.ts'
import { clientTokenHeader } from './client-token.ts'

/** Asks for the newest requests that were made in this browser. */
export async function listImages(signal?: AbortSignal): Promise<ImagesResource[]> {
  const { requests } = await callApi<ImagesList>('api/v1/images', {
    headers: clientTokenHeader(),
    signal,
  })
  return requests
}

/**
 * Puts requests into the gallery that were made here but are not in it: their answer was lost on the way, or the page
 * was left before it came.
 */
export function useRecovery(): void {
  const client = useQueryClient()
  const store = useGalleryStore()
  useQuery({
    queryKey: ['recovery'],
    queryFn: async ({ signal }) => {
      const known = new Set((await store.list()).map(({ id }) => id))
      const lost = (await listImages(signal)).filter(({ id }) => !known.has(id))
      for (const resource of lost) await store.put(toEntry(resource, Date.parse(resource.createdAt)))
      if (lost.length > 0) await client.invalidateQueries({ queryKey: GALLERY_KEY })
      return lost.length
    },
    retry: 2,
  })
}
