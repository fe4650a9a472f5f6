import type { ImagesResource } from '@sdcpu/contract'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import type { ImagesInput } from '../draft/read-draft.ts'
import { toEntry } from '../gallery/entry.ts'
import { useGalleryStore } from '../gallery/gallery-context.ts'
import { addEntry } from '../gallery/use-gallery.ts'
import { toDataUrl } from '../input/read-input-picture.ts'
import { randomHex } from '../random-hex.ts'
import { callApi } from './call-api.ts'
import { clientTokenHeader } from './client-token.ts'

/** One wish to have pictures drawn; sent again after a lost answer, it keeps its key and is not drawn twice. */
export type Submission = {
  input: ImagesInput
  /** The picture to begin with; there is one where `input` has a strength. */
  picture: Blob | undefined
  key: string
  startedAtMs: number
}

/** Puts a request into the queue. */
export async function createImages({ input, picture, key }: Submission): Promise<ImagesResource> {
  const image = picture && (await toDataUrl(picture))
  return callApi('api/v1/images', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key, ...clientTokenHeader() },
    body: JSON.stringify({ ...input, image }),
  })
}

/** Puts a request into the queue and into the gallery. */
export function useCreateImages() {
  const client = useQueryClient()
  const store = useGalleryStore()
  return useMutation({
    mutationFn: createImages,
    async onSuccess(resource, { startedAtMs, picture }) {
      if (picture) await store.putInput(resource.id, picture)
      await addEntry(client, store, toEntry(resource, startedAtMs))
    },
  })
}

/** Makes a submission of its own of a request, and of the picture it begins with where it is drawn from one. */
export function toSubmission(input: ImagesInput, picture?: Blob): Submission {
  const used = input.strength === undefined ? undefined : picture
  return { input, picture: used, key: randomHex(16), startedAtMs: Date.now() }
}
