import { hash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { ApiError } from './api-error.ts'
import { type ApiKey, findApiKey, type Limits } from './api-keys.ts'

// Of Open WebUI, with requests to its OpenAI engine where ENABLE_FORWARD_USER_INFO_HEADERS is set:
// https://github.com/open-webui/open-webui/blob/02530d501461ce58ab06231d7c2ef2024a141ddf/backend/open_webui/env.py
const USER_HEADER = 'x-openwebui-user-id'

/** What is counted as one by limits. */
export type Quota = {
  /** Names it in Redis. */
  of: string
  /** How messages about its limits begin. */
  allows: string
  limits: Limits
}

/** Who asks. */
export type Caller = {
  /** What its requests are listed under; absent when it gave nothing to know it by. */
  owner: string | undefined
  /** Whose turn it takes in the queue. */
  turn: string
  /** True when only an owner may see a request; otherwise knowing its id is the right to it. */
  isStrict: boolean
  /** All that must have room for what it asks for. */
  quotas: Quota[]
}

/**
 * Tells who asks: with keys the owner of the key, without them a browser by its token, or else an address.
 * @throws `unauthorized` where there are keys and the request shows none of them
 */
export function identifyCaller(keys: ApiKey[] | undefined, { headers, ip }: FastifyRequest): Caller {
  if (!keys) {
    const token = headers['x-client-token']
    const owner = typeof token === 'string' ? `browser-${digestOf(token)}` : undefined
    return { owner, turn: owner ?? `address-${digestOf(ip)}`, isStrict: false, quotas: [] }
  }
  const key = findApiKey(keys, headers)
  if (!key)
    throw new ApiError(
      'unauthorized',
      'this needs an API key that is known here, as "Authorization: Bearer KEY", "X-API-Key: KEY" or the password of HTTP Basic',
    )
  const owner = `key-${key.name}`
  const { imagesPerMinute, imagesAtOnce } = key
  const whole = { of: owner, allows: 'your key allows', limits: { imagesPerMinute, imagesAtOnce } }
  const user = key.forwardsUsers ? headers[USER_HEADER] : undefined
  if (typeof user !== 'string' || user === '') return { owner, turn: owner, isStrict: true, quotas: [whole] }
  // What the key's holder says of its users is believed for their turns, and never lifts the key's own limits.
  const turn = `user-${digestOf(`${key.name}\n${user}`)}`
  const own = { of: turn, allows: 'your key allows each of its users', limits: key.perUser ?? {} }
  return { owner, turn, isStrict: true, quotas: [whole, own] }
}

/** Whether a caller may see, cancel and delete what an owner asked for. */
export function mayAccess(
  { owner, isStrict }: Pick<Caller, 'owner' | 'isStrict'>,
  of: string | undefined,
): boolean {
  return !isStrict || (owner !== undefined && owner === of)
}

/** Whether an owner has an API key, which its links must do without. */
export function isKeyed(owner: string | undefined): boolean {
  return owner?.startsWith('key-') ?? false
}

// Tokens are secrets, and addresses and users are nobody's business: none of them is kept.
function digestOf(text: string): string {
  return hash('sha256', text)
}
