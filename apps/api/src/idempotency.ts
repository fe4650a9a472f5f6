import { createHash, randomUUID } from 'node:crypto'
import { idempotencyKey, knownForSeconds } from '@sdcpu/contract'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import { ApiError } from './api-error.ts'
import { reply } from './redis.ts'

const Claim = z.object({ id: z.string(), bodyDigest: z.string() })

export type Idempotency = {
  /**
   * The id that a request with this key has or is to get. Two requests that come at the same moment get the same.
   * @throws `idempotency_mismatch` when the key was used with another body
   */
  claim(use: { key: string; owner: string | undefined; body: unknown }): Promise<string>
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
  return {
    async claim({ key, owner = '', body }) {
      const place = idempotencyKey(prefix, hash(`${owner}\n${key}`))
      const own = { id: randomUUID(), bodyDigest: digestOf(body) }
      const ttl = knownForSeconds(resultTtlSeconds)
      await reply(redis.set(place, JSON.stringify(own), 'EX', ttl, 'NX'))
      const kept = Claim.parse(JSON.parse((await reply(redis.get(place))) ?? JSON.stringify(own)))
      if (kept.bodyDigest !== own.bodyDigest)
        throw new ApiError(
          'idempotency_mismatch',
          `the Idempotency-Key was used for request ${kept.id}, whose body is another one`,
        )
      return kept.id
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
  return hash(toCanonical(value))
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
