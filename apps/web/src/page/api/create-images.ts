import type { ImagesResource } from '@sdcpu/contract'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import type { ImagesInput } from '../draft/read-draft.ts'
import { toEntry } from '../gallery/entry.ts'
import { useGalleryStore } from '../gallery/gallery-context.ts'
import { addEntry } from '../gallery/use-gallery.ts'
import { randomHex } from '../random-hex.ts'
import { callApi } from './call-api.ts'
import { clientTokenHeader } from './client-token.ts'

/** One wish to have pictures drawn; sent again after a lost answer, it keeps its key and is not drawn twice. */
export type Submission = { input: ImagesInput; key: string; startedAtMs: number }

/** Puts a request into the queue. */
export function createImages({ input, key }: Submission): Promise<ImagesResource> {
  return callApi('api/v1/images', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key, ...clientTokenHeader() },
    body: JSON.stringify(input),
  })
}

/** Puts a request into the queue and into the gallery. */
export function useCreateImages() {
  const client = useQueryClient()
  const store = useGalleryStore()
  return useMutation({
    mutationFn: createImages,
    onSuccess: (resource, { startedAtMs }) => addEntry(client, store, toEntry(resource, startedAtMs)),
  })
}

/** Makes a submission of its own of a request. */
export function toSubmission(input: ImagesInput): Submission {
  return { input, key: randomHex(16), startedAtMs: Date.now() }
}
