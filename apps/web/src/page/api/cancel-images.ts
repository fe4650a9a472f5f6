import { useMutation, useQueryClient } from '@tanstack/react-query'
import { entryKey } from '../gallery/use-gallery.ts'
import { callApi } from './call-api.ts'

/** Calls off what of a request is not drawn yet. */
export function cancelImages(id: string): Promise<unknown> {
  return callApi(`api/v1/images/${encodeURIComponent(id)}/cancel`, { method: 'POST' })
}

/** Calls off a request and asks at once how it stands now. */
export function useCancelImages() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: cancelImages,
    onSettled: (_, __, id) => client.refetchQueries({ queryKey: entryKey(id) }),
  })
}
