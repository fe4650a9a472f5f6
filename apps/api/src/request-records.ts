import { canceledKey, ImageRequest, imageRequestKey, knownForSeconds, ownedKey } from '@sdcpu/contract'
import type { ChainableCommander, Redis } from 'ioredis'
import { z } from 'zod'
import { ApiError } from './api-error.ts'
import { reply } from './redis.ts'
import { createScript } from './script.ts'

// Nothing is changed where the id is known already.
const SAVE = `
if not redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2], 'NX') then return 0 end
if KEYS[2] then
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[4])
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[3] - ARGV[2] * 1000)
  redis.call('EXPIRE', KEYS[2], ARGV[2])
end
return 1`

const EXTRA = 50 // more than a caller makes requests in one millisecond, which is all that a cursor tells apart

/** A request as it is kept. */
export const RequestRecord = z.object({
  id: z.string(),
  createdAt: z.string(),
  /** Who may list it; absent when nobody can. */
  owner: z.string().optional(),
  request: ImageRequest,
  /** How often its images are shown while they are drawn; absent when never. */
  previews: z.int().optional(),
})
export type RequestRecord = z.infer<typeof RequestRecord>

export type RequestRecords = {
  /** Keeps a new request; false, and nothing is changed, where its id is known already. */
  save(record: RequestRecord): Promise<boolean>
  /** @throws `image_not_found` */
  find(id: string): Promise<RequestRecord>
  findMaybe(id: string): Promise<RequestRecord | undefined>
  /** Newest first; `before` is the `next` of the page before. */
  list(
    owner: string,
    page: { limit: number; before?: string },
  ): Promise<{ records: RequestRecord[]; next?: string }>
  remove(record: RequestRecord): Promise<void>
  /** Which images of a request are canceled. */
  findCanceled(id: string): Promise<Set<number>>
}

/** Keeps the requests there were, each for as long as somebody may still ask for it. */
export function createRequestRecords({
  redis,
  prefix,
  resultTtlSeconds,
}: {
  redis: Redis
  prefix: string
  resultTtlSeconds: number
}): RequestRecords {
  const ttlSeconds = knownForSeconds(resultTtlSeconds)
  const save = createScript<0 | 1>(redis, SAVE)

  async function findMaybe(id: string): Promise<RequestRecord | undefined> {
    const record = await reply(redis.get(imageRequestKey(prefix, id)))
    return record === null ? undefined : RequestRecord.parse(JSON.parse(record))
  }

  return {
    findMaybe,

    async save(record) {
      const { id, owner, createdAt } = record
      const listed = owner === undefined ? [] : [ownedKey(prefix, owner)]
      const keys = [imageRequestKey(prefix, id), ...listed]
      return (await save(keys, [JSON.stringify(record), ttlSeconds, Date.parse(createdAt), id])) === 1
    },

    async find(id) {
      const record = await findMaybe(id)
      if (!record) throw unknownId(id)
      return record
    },

    async list(owner, { limit, before }) {
      const key = ownedKey(prefix, owner)
      const { score, id } = before === undefined ? { score: '+inf', id: undefined } : readCursor(before)
      const flat = await reply(
        redis.zrevrangebyscore(key, score, '-inf', 'WITHSCORES', 'LIMIT', 0, limit + EXTRA),
      )
      const entries = Array.from({ length: flat.length / 2 }, (_, i) => ({
        id: flat[2 * i]!,
        score: flat[2 * i + 1]!,
      })).filter((entry) => id === undefined || entry.score !== score || entry.id < id)
      const page = entries.slice(0, limit)
      const found = await Promise.all(page.map((entry) => findMaybe(entry.id)))
      const last = page.at(-1)
      const next = entries.length > limit && last ? `${last.score}:${last.id}` : undefined
      return { records: found.filter((record) => record !== undefined), next }
    },

    async remove({ id, owner }) {
      const writing = redis.multi().del(imageRequestKey(prefix, id))
      if (owner !== undefined) writing.zrem(ownedKey(prefix, owner), id)
      await execute(writing)
    },

    async findCanceled(id) {
      const indexes = await reply(redis.smembers(canceledKey(prefix, id)))
      return new Set(indexes.map(Number))
    },
  }
}

/** Runs a transaction; its commands' own errors count like a lost connection. */
async function execute(transaction: ChainableCommander): Promise<unknown[]> {
  const run = async () => {
    const results = (await transaction.exec()) ?? []
    return results.map(([error, result]) => {
      if (error) throw error
      return result
    })
  }
  return reply(run())
}

/** What a caller is told of an id that nobody knows, or that is not its own. */
export function unknownId(id: string): ApiError {
  return new ApiError('image_not_found', `there are no images with the id ${id}`)
}

function readCursor(text: string): { score: string; id: string } {
  const [, score, id] = /^(\d{1,16}):(.{1,100})$/.exec(text) ?? []
  if (score === undefined || id === undefined)
    throw new ApiError(
      'invalid_request',
      `before is "${text.slice(0, 40)}"; it must be the "next" of an earlier answer`,
    )
  return { score, id }
}
