import { useQuery } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { useGalleryStore } from './gallery-context.ts'

/** Address of a kept picture: undefined while it is fetched, null when it is not there. */
export function usePicture(id: string, index: number): { url: string | null | undefined; mediaType: string } {
  const store = useGalleryStore()
  const { data: bytes } = useQuery({
    queryKey: ['picture', id, index],
    queryFn: async () => (await store.getPicture(id, index)) ?? null,
  })
  const url = useObjectUrl(bytes)
  return { url: bytes === null ? null : url, mediaType: bytes?.type ?? '' }
}

/** Address of the picture that a request began with; nothing where it is not kept, or none. */
export function useInputUrl(id: string): string | undefined {
  const store = useGalleryStore()
  const { data } = useQuery({
    queryKey: ['input', id],
    queryFn: async () => (await store.getInput(id)) ?? null,
    staleTime: 0, // it is let go sooner than the request
  })
  return useObjectUrl(data)
}

/** An address of bytes in memory, for as long as they are shown. */
export function useObjectUrl(bytes: Blob | null | undefined): string | undefined {
  const [url, setUrl] = useState<string>()
  useEffect(() => {
    if (!bytes) return
    const created = URL.createObjectURL(bytes)
    setUrl(created)
    return () => URL.revokeObjectURL(created)
  }, [bytes])
  return url
}
