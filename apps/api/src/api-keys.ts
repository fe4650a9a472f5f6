import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'

const Limits = z.strictObject({
  /** Images that may be asked for in a minute; no limit when absent. */
  imagesPerMinute: z.int().min(1).optional(),
  /** Images that may wait or be drawn at once; no limit when absent. */
  imagesAtOnce: z.int().min(1).optional(),
})
export type Limits = z.infer<typeof Limits>

const ApiKey = z
  .strictObject({
    /** What its requests are listed under and what logs call it. */
    name: z.string().regex(/^[\w.-]{1,64}$/),
    sha256: z.string().regex(/^[0-9a-f]{64}$/i),
    ...Limits.shape,
    /** Whether its holder is a service that says which of its users asks, as Open WebUI does. */
    forwardsUsers: z.boolean().optional(),
    /** Limits of each of those users; the key's own hold for all of them together. */
    perUser: Limits.optional(),
  })
  .refine(({ forwardsUsers, perUser }) => forwardsUsers || !perUser, {
    path: ['perUser'],
    error: 'perUser has no effect without "forwardsUsers": true',
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
 * The key that a request shows, as `Authorization: Bearer`, `X-API-Key` or the password of HTTP Basic. All that is shown
 * is compared with all digests, each in constant time, so that how long it takes tells nothing.
 */
export function findApiKey(keys: ApiKey[], headers: IncomingHttpHeaders): ApiKey | undefined {
  const digests = readShown(headers).map((shown) => createHash('sha256').update(shown).digest())
  return keys.filter(
    ({ sha256 }) =>
      digests.filter((digest) => timingSafeEqual(Buffer.from(sha256, 'hex'), digest)).length > 0,
  )[0]
}

// More than one, where a gateway in front has a login of its own and leaves its header on the request.
function readShown({ authorization = '', 'x-api-key': header }: IncomingHttpHeaders): string[] {
  const bearer = /^Bearer +(\S+)$/i.exec(authorization)?.[1]
  return [bearer, readBasic(authorization), header].flatMap((shown) => shown || [])
}

/**
 * The password of HTTP Basic. The user name is free, since clients made for AUTOMATIC1111 ask for one; where there is no
 * password, it is what somebody has written who was asked for one text.
 */
function readBasic(authorization: string): string | undefined {
  const encoded = /^Basic +([\w+/=-]+)$/i.exec(authorization)?.[1]
  if (encoded === undefined) return undefined
  const [, user, password] = /^([^:]*):?(.*)$/s.exec(Buffer.from(encoded, 'base64').toString()) ?? []
  return password || user
}

const BASIC_PATHS = /^\/(?:sdapi|internal)\// // of AUTOMATIC1111, whose clients know nothing else

/**
 * What `WWW-Authenticate` says at a path. Basic is accepted everywhere, but asked for only where clients need it:
 * browsers show a dialog of their own for it, over the page that asks for a key itself.
 */
export function challengeAt(path: string): string | string[] {
  return BASIC_PATHS.test(path) ? ['Basic realm="API key as password", charset="UTF-8"', 'Bearer'] : 'Bearer'
}
