import { type QueryClient, queryOptions, useQueries, useQuery, useQueryClient } from '@tanstack/react-query'
import { followImages, pollInterval } from '../api/follow-images.ts'
import { type Entry, isSettled } from './entry.ts'
import { useGalleryStore } from './gallery-context.ts'
import type { GalleryStore } from './gallery-store.ts'

// Entries are the one place where the page knows a request from; the gallery is only the order of their ids.
export const GALLERY_KEY = ['gallery']

/** Key of what is known of one request. */
export const entryKey = (id: string) => ['entry', id]

/** Ids of the requests of this browser, newest first; nothing until the browser has told. */
export function useGallery(): string[] | undefined {
  const client = useQueryClient()
  const store = useGalleryStore()
  const { data } = useQuery({
    queryKey: GALLERY_KEY,
    queryFn: async () => {
      const entries = await store.list()
      for (const entry of entries)
        client.setQueryData<Entry>(entryKey(entry.id), (known) => newer(known, entry))
      return entries.map(({ id }) => id)
    },
    // Another tab may have drawn something.
    refetchOnWindowFocus: 'always',
  })
  return data
}

/** What is known of a request; `useFollow` keeps it up to date. */
export function useEntry(id: string): { entry: Entry | undefined; error: Error | null; updatedAtMs: number } {
  const store = useGalleryStore()
  const { data, error, dataUpdatedAt } = useQuery({ ...entryQuery(id, store), enabled: false })
  return { entry: data, error, updatedAtMs: dataUpdatedAt }
}

/** What is known of several requests. */
export function useEntries(ids: string[]): Entry[] {
  const store = useGalleryStore()
  return useQueries({
    queries: ids.map((id) => ({ ...entryQuery(id, store), enabled: false })),
    combine: (results) => results.flatMap(({ data }) => data ?? []),
  })
}

/** Asks the API about those of these requests that are not over, each by its own clock; the polling stops itself. */
export function useFollow(ids: string[]): void {
  const client = useQueryClient()
  const store = useGalleryStore()
  const open = ids.filter((id) => {
    const entry = client.getQueryData<Entry>(entryKey(id))
    return entry && !isSettled(entry)
  })
  useQueries({ queries: open.map((id) => followQuery(id, store)), combine: () => undefined })
}

/** Adds a request that was just made. */
export async function addEntry(client: QueryClient, store: GalleryStore, entry: Entry): Promise<void> {
  client.setQueryData(entryKey(entry.id), entry)
  await store.put(entry)
  client.setQueryData<string[]>(GALLERY_KEY, (ids = []) => inOrder(client, [entry.id, ...ids]))
}

function inOrder(client: QueryClient, ids: string[]): string[] {
  const startedAt = (id: string) => client.getQueryData<Entry>(entryKey(id))?.startedAtMs ?? 0
  return [...new Set(ids)].sort((one, other) => startedAt(other) - startedAt(one))
}

/** Takes requests out of the gallery; their pictures go with them. */
export async function removeEntries(client: QueryClient, store: GalleryStore, ids: string[]): Promise<void> {
  client.setQueryData<string[]>(GALLERY_KEY, (known = []) => known.filter((id) => !ids.includes(id)))
  for (const id of ids) client.removeQueries({ queryKey: entryKey(id) })
  await store.remove(ids)
}

function entryQuery(id: string, store: GalleryStore) {
  return queryOptions({
    queryKey: entryKey(id),
    queryFn: ({ client, signal }) => {
      const entry = client.getQueryData<Entry>(entryKey(id))
      if (!entry) throw new Error(`Request ${id} is followed but not known. This is a bug.`)
      return followImages(entry, store, signal)
    },
    gcTime: Number.POSITIVE_INFINITY,
  })
}

function followQuery(id: string, store: GalleryStore) {
  return {
    ...entryQuery(id, store),
    enabled: ({ state }: { state: { data: Entry | undefined } }) => !!state.data && !isSettled(state.data),
    refetchInterval: ({ state }: PolledQuery) =>
      state.data
        ? pollInterval({
            entry: state.data,
            error: state.error,
            ageMs: Date.now() - state.dataUpdatedAt,
            isHidden: document.hidden,
          })
        : false,
    refetchIntervalInBackground: true,
  }
}

type PolledQuery = { state: { data: Entry | undefined; error: Error | null; dataUpdatedAt: number } }

// What this tab follows it knows at least as well as the database, unless another tab saw the end of it.
function newer(known: Entry | undefined, stored: Entry): Entry {
  return known && (isSettled(known) || !isSettled(stored)) ? known : stored
}
