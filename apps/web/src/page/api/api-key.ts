import { readStored, writeStored } from '../preferences.ts'

const KEY = 'api-key'

/** The key this browser shows to a service that asks for one. */
export function readApiKey(): string | undefined {
  return readStored(KEY)
}

/** Keeps a key for later visits, or forgets it. */
export function writeApiKey(key: string | undefined): void {
  writeStored(KEY, key)
}

/** Header that shows the key, where there is one. */
export function authorizationHeader(): Record<string, string> {
  const key = readApiKey()
  return key ? { authorization: `Bearer ${key}` } : {}
}
