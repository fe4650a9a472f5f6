import type { Model } from '@sdcpu/contract'
import type { Redis } from 'ioredis'
import type { Caller } from '../caller.ts'
import type { Models } from '../models.ts'
import { reply } from '../redis.ts'

const KEPT_SECONDS = 30 * 86_400 // as long as a model is known that nobody serves

export type Checkpoint = {
  /**
   * The model of a caller's requests: the one it names, the one it has chosen while that is there, or the default one.
   * @throws `model_not_found`, `model_not_ready`, `unavailable`
   */
  of(caller: Caller, title?: string): Promise<Model>
  /** Takes a model for the caller's later requests. @throws `model_not_found`, `model_not_ready`, `unavailable` */
  choose(caller: Caller, title: string): Promise<void>
}

/** Remembers which model each caller has chosen; AUTOMATIC1111 has one for all, and whoever chooses changes it for everybody. */
export function createCheckpoint({
  redis,
  prefix,
  models,
}: {
  redis: Redis
  prefix: string
  models: Models
}): Checkpoint {
  const keyOf = ({ turn }: Caller) => `${prefix}:a1111-model:${turn}`

  /** A model by its title, or as clients write it that know files and hashes. */
  async function find(title: string): Promise<Model> {
    const plain = title.replace(/ \[[0-9a-f]+\]$/, '').replace(/\.(?:safetensors|ckpt)$/, '')
    const known = (await models.list()).some(({ name }) => name === plain)
    return models.choose(known ? plain : title)
  }

  return {
    async of(caller, title) {
      if (title !== undefined) return find(title)
      const chosen = await reply(redis.get(keyOf(caller)))
      const found = chosen === null ? undefined : (await models.list()).find(({ name }) => name === chosen)
      return found ?? models.choose()
    },

    async choose(caller, title) {
      const { name } = await find(title)
      // With one model there is no choice to be remembered when there are more.
      if ((await models.list()).length > 1) await reply(redis.set(keyOf(caller), name, 'EX', KEPT_SECONDS))
    },
  }
}
