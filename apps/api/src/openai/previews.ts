import { previewKey } from '@sdcpu/contract'
import type { Redis } from 'ioredis'
import { reply } from '../redis.ts'

/** Reads the newest preview of an image: the file, and the step it was taken after. */
export type ReadPreview = (
  id: string,
  index: number,
) => Promise<{ step: number; file: Uint8Array } | undefined>

/** Reads what workers publish of images while they draw them. */
export function createReadPreview(redis: Redis, prefix: string): ReadPreview {
  return async (id, index) => {
    const [step, file] = await reply(redis.hmgetBuffer(previewKey(prefix, id, index), 'step', 'file'))
    return step && file ? { step: Number(step), file } : undefined
  }
}
