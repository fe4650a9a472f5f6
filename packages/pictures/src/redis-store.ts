import { imageBytesKey } from '@sdcpu/contract'
import type { Redis } from 'ioredis'
import type { Picture, PictureStore } from './picture-store.ts'

/** Keeps pictures in Redis, which forgets them by itself. */
export function createRedisStore(
  redis: Redis,
  { prefix, ttlSeconds }: { prefix: string; ttlSeconds: number },
): PictureStore {
  const keyOf = ({ id, index }: Picture) => imageBytesKey(prefix, id, index)
  return {
    async save(picture, bytes) {
      const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      await redis.set(keyOf(picture), buffer, 'EX', ttlSeconds)
    },
    async read(picture) {
      return (await redis.getBuffer(keyOf(picture))) ?? undefined
    },
    async has(picture) {
      return (await redis.exists(keyOf(picture))) === 1
    },
    async remove(picture) {
      await redis.del(keyOf(picture))
    },
  }
}
