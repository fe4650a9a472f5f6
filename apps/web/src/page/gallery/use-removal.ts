import { useQueryClient } from '@tanstack/react-query'
import { useCallback, useState } from 'react'
import type { Entry } from './entry.ts'
import { useGalleryStore } from './gallery-context.ts'
import { addEntry, removeEntries } from './use-gallery.ts'

type Removed = { entry: Entry; pictures: [index: number, bytes: Blob][] }

/** Removes requests from the gallery, and can bring the last ones back until it is told to let them go. */
export function useRemoval() {
  const client = useQueryClient()
  const store = useGalleryStore()
  const [removed, setRemoved] = useState<Removed[]>()

  async function remove(entries: Entry[]) {
    const copies = await Promise.all(entries.map(copy))
    await removeEntries(
      client,
      store,
      entries.map(({ id }) => id),
    )
    setRemoved(copies)
  }

  async function copy(entry: Entry): Promise<Removed> {
    const pictures: Removed['pictures'] = []
    for (const index of entry.kept) {
      const bytes = await store.getPicture(entry.id, index)
      if (bytes) pictures.push([index, bytes])
    }
    return { entry, pictures }
  }

  async function undo() {
    setRemoved(undefined)
    for (const { entry, pictures } of removed ?? []) {
      for (const [index, bytes] of pictures) await store.putPicture(entry.id, index, bytes)
      await addEntry(client, store, entry)
    }
  }

  const letGo = useCallback(() => setRemoved(undefined), [])
  return { remove, undo, letGo, canUndo: removed !== undefined }
}
