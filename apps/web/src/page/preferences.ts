import { useSyncExternalStore } from 'react'

const listeners = new Set<() => void>()
// What the browser refused to keep lives as long as the page.
const unkept = new Map<string, string>()

/** Reads what this browser keeps for the page under `key`. */
export function readStored(key: string): string | undefined {
  try {
    return localStorage.getItem(key) ?? unkept.get(key)
  } catch {
    return unkept.get(key)
  }
}

/** Keeps `value` for later visits, or for this one where the browser keeps nothing; nothing removes it. */
export function writeStored(key: string, value: string | undefined): void {
  try {
    if (value === undefined) localStorage.removeItem(key)
    else localStorage.setItem(key, value)
    unkept.delete(key)
  } catch {
    if (value === undefined) unkept.delete(key)
    else unkept.set(key, value)
  }
  for (const listener of listeners) listener()
}

/** One of a few choices that outlives the visit, in all tabs at once; what is stored but unknown counts as absent. */
export function usePreference<Choice extends string>(
  key: string,
  choices: readonly Choice[],
): [Choice | undefined, (choice: Choice | undefined) => void] {
  const stored = useSyncExternalStore(subscribe, () => readStored(key))
  const choice = choices.find((known) => known === stored)
  return [choice, (next) => writeStored(key, next)]
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  addEventListener('storage', listener)
  return () => {
    listeners.delete(listener)
    removeEventListener('storage', listener)
  }
}
