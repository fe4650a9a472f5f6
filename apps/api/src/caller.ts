import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { ApiError } from './api-error.ts'
import { type ApiKey, findApiKey } from './api-keys.ts'

/** Who asks. */
export type Caller = {
  /** What its requests are listed under; absent when it gave nothing to know it by. */
  owner: string | undefined
  /** Whose turn it takes in the queue. */
  turn: string
  /** True when only an owner may see a request; otherwise knowing its id is the right to it. */
  isStrict: boolean
  limits: Pick<ApiKey, 'imagesPerMinute' | 'imagesAtOnce'>
}

/**
 * Tells who asks: with keys the owner of the key, without them a browser by its token, or else an address.
 * @throws `unauthorized` where there are keys and the request shows none of them
 */
export function identifyCaller(keys: ApiKey[] | undefined, { headers, ip }: FastifyRequest): Caller {
  if (!keys) {
    const token = headers['x-client-token']
    const owner = typeof token === 'string' ? `browser-${digestOf(token)}` : undefined
    return { owner, turn: owner ?? `address-${digestOf(ip)}`, isStrict: false, limits: {} }
  }
  const key = findApiKey(keys, headers)
  if (!key)
    throw new ApiError(
      'unauthorized',
      'this needs an API key that is known here, as "Authorization: Bearer KEY" or "X-API-Key: KEY"',
    )
  const owner = `key-${key.name}`
  return { owner, turn: owner, isStrict: true, limits: key }
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

// Tokens are secrets, and addresses are nobody's business: neither is kept.
function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
