import type { PictureStoreConfig } from '@sdcpu/contract'
import type { Redis } from 'ioredis'
import { createRedisStore } from './redis-store.ts'

/** Which picture: the request's id and the number of the image. */
export type Picture = { id: string; index: number }

export type PictureStore = {
  /** Keeps the bytes; a repeat overwrites them. */
  save(picture: Picture, bytes: Uint8Array, mediaType: string): Promise<void>
  /** The bytes, or nothing where they are gone or never were. */
  read(picture: Picture): Promise<Uint8Array | undefined>
  has(picture: Picture): Promise<boolean>
  remove(picture: Picture): Promise<void>
}

/** Opens the store that the variables name. Pictures are kept for `ttlSeconds` since they were saved. */
export function openPictureStore(
  config: PictureStoreConfig,
  { redis, prefix, ttlSeconds }: { redis: Redis; prefix: string; ttlSeconds: number },
): PictureStore {
  return config.PICTURE_STORE === 's3'
    ? openBucketStore(config, { ttlSeconds })
    : createRedisStore(redis, { prefix, ttlSeconds })
}

/** A bucket's store, whose client is loaded only by those who use it: it takes as long as the rest of the program. */
function openBucketStore(config: PictureStoreConfig, options: { ttlSeconds: number }): PictureStore {
  const loading = import('./bucket-store.ts').then((loaded) => loaded.createBucketStore(config, options))
  loading.catch(() => {}) // whoever uses it hears of it
  return {
    save: async (...args) => (await loading).save(...args),
    read: async (...args) => (await loading).read(...args),
    has: async (...args) => (await loading).has(...args),
    remove: async (...args) => (await loading).remove(...args),
  }
}
