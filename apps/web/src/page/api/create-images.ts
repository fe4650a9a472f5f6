import type { ImagesResource } from '@sdcpu/contract'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import type { ImagesInput } from '../read-draft.ts'
import { callApi } from './call-api.ts'
import { imagesQuery } from './get-images.ts'

/** Puts a request into the queue. */
export function createImages(input: ImagesInput): Promise<ImagesResource> {
  return callApi('api/v1/images', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(input),
  })
}

/** Puts a request into the queue; the answer is at once what `useImages` of its id shows. */
export function useCreateImages() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: createImages,
    onSuccess: (images) => client.setQueryData(imagesQuery(images.id).queryKey, images),
  })
}
