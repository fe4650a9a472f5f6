import { useQueryClient } from '@tanstack/react-query'
import { useCallback, useState } from 'react'
import { deleteImages } from '../api/delete-images.ts'
import type { Entry } from './entry.ts'
import { useGalleryStore } from './gallery-context.ts'
import { addEntry, entryKey, removeEntries } from './use-gallery.ts'

type Removed = { entry: Entry; pictures: [index: number, bytes: Blob][]; input: Blob | undefined }

/**
 * Removes requests here and at the API, and can bring the last ones back into this browser until it is told to let
 * them go.
 */
export function useRemoval() {
  const client = useQueryClient()
  const store = useGalleryStore()
  const [removed, setRemoved] = useState<Removed[]>()

  async function remove(ids: string[]) {
    const entries = ids.flatMap((id) => client.getQueryData<Entry>(entryKey(id)) ?? [])
    const copies = await Promise.all(entries.map(copy))
    await removeEntries(client, store, ids)
    setRemoved(copies)
    for (const { id, isForgotten } of entries) {
      // A copy at the API that cannot be deleted now ends by itself when its time is over.
      if (!isForgotten) await deleteImages(id).catch(() => {})
    }
  }

  async function copy(entry: Entry): Promise<Removed> {
    const pictures: Removed['pictures'] = []
    for (const index of entry.kept) {
      const bytes = await store.getPicture(entry.id, index)
      if (bytes) pictures.push([index, bytes])
    }
    return { entry, pictures, input: await store.getInput(entry.id) }
  }

  async function undo() {
    setRemoved(undefined)
    for (const { entry, pictures, input } of removed?.toReversed() ?? []) {
      for (const [index, bytes] of pictures) await store.putPicture(entry.id, index, bytes)
      if (input) await store.putInput(entry.id, input)
      await addEntry(client, store, { ...entry, isForgotten: true })
    }
  }

  const letGo = useCallback(() => setRemoved(undefined), [])
  return { remove, undo, letGo, canUndo: removed !== undefined }
}
