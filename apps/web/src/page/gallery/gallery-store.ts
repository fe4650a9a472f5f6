import { type DBSchema, deleteDB, type IDBPDatabase, openDB } from 'idb'
import type { Entry } from './entry.ts'

const NAME = 'gallery'
const VERSION = 2 // 1 had no inputs
// About a gigabyte of the largest pictures; browsers allow that, and nobody scrolls further back.
const MAX_ENTRIES = 500
// Of a megabyte at most each. Those of older requests are let go first: they are the part that nobody looks at.
const MAX_INPUTS = 50

interface Schema extends DBSchema {
  entries: { key: string; value: Entry; indexes: { startedAtMs: number } }
  pictures: { key: [id: string, index: number]; value: Blob }
  inputs: { key: string; value: { bytes: Blob; keptAtMs: number }; indexes: { keptAtMs: number } }
}

/** What is kept of the requests made in this browser: how each stands, and its pictures' bytes. */
export type GalleryStore = {
  /** False where the browser keeps nothing for the page: all is gone when it is closed. */
  isLasting: boolean
  /** Newest first. */
  list(): Promise<Entry[]>
  put(entry: Entry): Promise<void>
  getPicture(id: string, index: number): Promise<Blob | undefined>
  putPicture(id: string, index: number, bytes: Blob): Promise<void>
  /** The picture that a request began with, while it is kept. */
  getInput(id: string): Promise<Blob | undefined>
  /** Keeps such a picture; beyond fifty the oldest go. */
  putInput(id: string, bytes: Blob): Promise<void>
  removeInput(id: string): Promise<void>
  /** Forgets entries, their pictures and what they began with. */
  remove(ids: string[]): Promise<void>
}

/** Opens the browser's database, or keeps all in memory where there is none to be had. */
export async function openGalleryStore(): Promise<GalleryStore> {
  try {
    return createLastingStore(await openDatabase())
  } catch {
    return createPassingStore()
  }
}

/** Removes everything that was ever kept. */
export function forgetEverything(): Promise<void> {
  return deleteDB(NAME)
}

function openDatabase(): Promise<IDBPDatabase<Schema>> {
  return openDB<Schema>(NAME, VERSION, {
    upgrade(database, from) {
      if (from < 1) {
        database.createObjectStore('entries', { keyPath: 'id' }).createIndex('startedAtMs', 'startedAtMs')
        database.createObjectStore('pictures')
      }
      database.createObjectStore('inputs').createIndex('keptAtMs', 'keptAtMs')
    },
    // A newer page in another tab wants to change the database, or somebody to remove it: make way.
    blocking: (_current, _blocked, event) => (event.target as IDBDatabase).close(),
  })
}

function createLastingStore(database: IDBPDatabase<Schema>): GalleryStore {
  async function remove(ids: string[]): Promise<void> {
    const transaction = database.transaction(['entries', 'pictures', 'inputs'], 'readwrite')
    await Promise.all([
      ...ids.flatMap((id) => [
        transaction.objectStore('entries').delete(id),
        transaction.objectStore('inputs').delete(id),
        // Every key that begins with the id: in the order of keys an array is behind all numbers.
        transaction.objectStore('pictures').delete(IDBKeyRange.bound([id], [id, []])),
      ]),
      transaction.done,
    ])
  }

  async function dropOldest(): Promise<void> {
    const ids = await database.getAllKeysFromIndex('entries', 'startedAtMs')
    if (ids.length > MAX_ENTRIES) await remove(ids.slice(0, ids.length - MAX_ENTRIES))
  }

  async function dropOldestInputs(): Promise<void> {
    const ids = await database.getAllKeysFromIndex('inputs', 'keptAtMs')
    for (const id of ids.slice(0, Math.max(0, ids.length - MAX_INPUTS))) await database.delete('inputs', id)
  }

  /** Puts something large on the disk, or where there is no room on it, into memory. */
  async function putOrPass(put: () => Promise<unknown>, pass: () => Promise<void>): Promise<void> {
    try {
      await put()
    } catch (error) {
      if (!(error instanceof DOMException && error.name === 'QuotaExceededError')) throw error
      await pass()
    }
  }

  // What does not fit on the disk any more lives as long as the page.
  const passing = createPassingStore()

  return {
    isLasting: true,
    async list() {
      return (await database.getAllFromIndex('entries', 'startedAtMs')).reverse()
    },
    async put(entry) {
      await database.put('entries', entry)
      await dropOldest()
    },
    async getPicture(id, index) {
      return (await database.get('pictures', [id, index])) ?? passing.getPicture(id, index)
    },
    putPicture: (id, index, bytes) =>
      putOrPass(
        () => database.put('pictures', bytes, [id, index]),
        () => passing.putPicture(id, index, bytes),
      ),
    async getInput(id) {
      return (await database.get('inputs', id))?.bytes ?? passing.getInput(id)
    },
    async putInput(id, bytes) {
      await putOrPass(
        () => database.put('inputs', { bytes, keptAtMs: Date.now() }, id),
        () => passing.putInput(id, bytes),
      )
      await dropOldestInputs()
    },
    async removeInput(id) {
      await database.delete('inputs', id)
      await passing.removeInput(id)
    },
    async remove(ids) {
      await remove(ids)
      await passing.remove(ids)
    },
  }
}

/** Keeps all for as long as the page is open. */
export function createPassingStore(): GalleryStore {
  const entries = new Map<string, Entry>()
  const pictures = new Map<string, Blob>()
  const inputs = new Map<string, Blob>()
  return {
    isLasting: false,
    async list() {
      return [...entries.values()].sort((one, other) => other.startedAtMs - one.startedAtMs)
    },
    async put(entry) {
      entries.set(entry.id, entry)
    },
    async getPicture(id, index) {
      return pictures.get(`${id}/${index}`)
    },
    async putPicture(id, index, bytes) {
      pictures.set(`${id}/${index}`, bytes)
    },
    async getInput(id) {
      return inputs.get(id)
    },
    async putInput(id, bytes) {
      inputs.delete(id) // to be the newest
      inputs.set(id, bytes)
      const [oldest] = inputs.keys()
      if (inputs.size > MAX_INPUTS && oldest) inputs.delete(oldest)
    },
    async removeInput(id) {
      inputs.delete(id)
    },
    async remove(ids) {
      for (const id of ids) {
        entries.delete(id)
        inputs.delete(id)
        for (const key of pictures.keys()) if (key.startsWith(`${id}/`)) pictures.delete(key)
      }
    },
  }
}
