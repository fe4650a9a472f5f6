import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'

const ApiKey = z.strictObject({
  /** What its requests are listed under and what logs call it. */
  name: z.string().regex(/^[\w.-]{1,64}$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/i),
  /** Images it may ask for in a minute; no limit when absent. */
  imagesPerMinute: z.int().min(1).optional(),
  /** Images that may wait or be drawn for it at once; no limit when absent. */
  imagesAtOnce: z.int().min(1).optional(),
})
export type ApiKey = z.infer<typeof ApiKey>

const ApiKeys = z
  .array(ApiKey)
  .min(1)
  .refine((keys) => new Set(keys.map(({ name }) => name)).size === keys.length, 'two keys have one name')

/**
 * Reads the keys: a JSON list of names, SHA-256 digests and limits.
 * @throws one sentence with the fix
 */
export function readApiKeys({
  API_KEYS,
  API_KEYS_FILE,
}: {
  API_KEYS?: string | undefined
  API_KEYS_FILE?: string | undefined
}): ApiKey[] | undefined {
  const source = API_KEYS_FILE ? `the file of API_KEYS_FILE (${API_KEYS_FILE})` : 'API_KEYS'
  if (!API_KEYS_FILE && !API_KEYS) return undefined
  try {
    const text = API_KEYS_FILE ? readFileSync(API_KEYS_FILE, 'utf8') : API_KEYS!
    const parsed = ApiKeys.safeParse(JSON.parse(text))
    if (parsed.success) return parsed.data
    throw new Error(z.prettifyError(parsed.error))
  } catch (error) {
    throw new Error(
      `${source} must be a list like [{"name":"alice","sha256":"…64 hex digits…"}]: ${(error as Error).message}`,
      { cause: error },
    )
  }
}

/**
 * The key that a request shows, as `Authorization: Bearer` or `X-API-Key`. All digests are compared, each in constant
 * time, so that how long it takes tells nothing.
 */
export function findApiKey(keys: ApiKey[], headers: IncomingHttpHeaders): ApiKey | undefined {
  const shown = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? headers['x-api-key']
  if (typeof shown !== 'string') return undefined
  const digest = createHash('sha256').update(shown).digest()
  return keys.filter(({ sha256 }) => timingSafeEqual(Buffer.from(sha256, 'hex'), digest))[0]
}
