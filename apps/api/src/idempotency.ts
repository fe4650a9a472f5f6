import { hash, randomUUID } from 'node:crypto'
import { idempotencyKey, knownForSeconds } from '@sdcpu/contract'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import { ApiError } from './api-error.ts'
import { createScript } from './script.ts'

const Claim = z.object({ id: z.string(), bodyDigest: z.string() })

const SET_OR_GET = `
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2], 'NX')
return redis.call('GET', KEYS[1])`

export type Idempotency = {
  /**
   * The id that a request with this key has or is to get. Two requests that come at the same moment get the same.
   * @throws `idempotency_mismatch` when the key was used with another body
   */
  claim(use: {
    key: string
    owner: string | undefined
    body: unknown
  }): Promise<{ id: string; isNew: boolean }>
}

/** Remembers which request an `Idempotency-Key` stands for, for as long as the request is known. */
export function createIdempotency({
  redis,
  prefix,
  resultTtlSeconds,
}: {
  redis: Redis
  prefix: string
  resultTtlSeconds: number
}): Idempotency {
  const setOrGet = createScript<string>(redis, SET_OR_GET)

  return {
    async claim({ key, owner = '', body }) {
      const place = idempotencyKey(prefix, digestOfText(`${owner}\n${key}`))
      const own = { id: randomUUID(), bodyDigest: digestOf(body) }
      const ttl = knownForSeconds(resultTtlSeconds)
      const kept = await setOrGet([place], [JSON.stringify(own), ttl])
      const claim = Claim.parse(JSON.parse(kept))
      if (claim.bodyDigest !== own.bodyDigest)
        throw new ApiError(
          'idempotency_mismatch',
          `the Idempotency-Key was used for request ${claim.id}, whose body is another one`,
        )
      return { id: claim.id, isNew: claim.id === own.id }
    },
  }
}

/** The same text for the same values, in whatever order a client writes its fields. */
function toCanonical(value: unknown): string {
  return JSON.stringify(value, (_, nested) =>
    nested !== null && typeof nested === 'object' && !Array.isArray(nested)
      ? Object.fromEntries(Object.entries(nested).sort(([a], [b]) => (a < b ? -1 : 1)))
      : nested,
  )
}

/** Equal for equal values, and for no others. */
export function digestOf(value: unknown): string {
  return digestOfText(toCanonical(value))
}

function digestOfText(text: string): string {
  return hash('sha256', text)
}
