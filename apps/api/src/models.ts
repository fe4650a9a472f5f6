import { type Model, ModelDescription, modelAliveKey, modelKey, modelNamesKey } from '@sdcpu/contract'
import type { Redis } from 'ioredis'
import { ApiError } from './api-error.ts'
import { createRecent } from './recent.ts'
import { reply } from './redis.ts'

const MAX_AGE_MS = 500 // models come and go in minutes, and requests in milliseconds
const START_RETRY_AFTER_SECONDS = 5 // a worker takes seconds to minutes to load its model

export type Models = {
  /** All models that workers have announced, by name. @throws `unavailable` */
  list(): Promise<Model[]>
  /**
   * The model of that name, or the one for requests that name none.
   * @throws `model_not_found`, `model_not_ready` while the model is not known yet, `unavailable`
   */
  choose(name?: string): Promise<Model>
}

/**
 * Knows the models from what workers announce. `defaultName` is the model for requests that name none; without it they
 * go to one that is ready.
 */
export function createModels({
  redis,
  prefix,
  defaultName,
}: {
  redis: Redis
  prefix: string
  defaultName: string | undefined
}): Models {
  async function list(): Promise<Model[]> {
    const names = (await reply(redis.smembers(modelNamesKey(prefix)))).toSorted()
    if (names.length === 0) return []
    const keys = [modelKey, modelAliveKey].flatMap((key) => names.map((name) => key(prefix, name)))
    const values = await reply(redis.mget(keys))
    const known = names.flatMap((name, i) => {
      const description = read(values[i] ?? null)
      return description?.name === name ? { description, isAlive: values[names.length + i] !== null } : []
    })
    const preferred = known.find(({ isAlive }) => isAlive) ?? known[0]
    const chosen = defaultName ?? preferred?.description.name
    return known.map(({ description, isAlive }) => ({
      ...description,
      isDefault: description.name === chosen,
      status: isAlive ? 'ready' : 'away',
    }))
  }

  const recent = createRecent(list, { maxAgeMs: MAX_AGE_MS })

  return {
    list,
    async choose(name) {
      const isMeant = (model: Model) => (name === undefined ? model.isDefault : model.name === name)
      const known = (await recent.get('all')).find(isMeant)
      if (known) return known
      const models = await recent.ask('all') // nothing is refused that was announced since
      const found = models.find(isMeant)
      if (found) return found
      // Which models there will be is not known before one of them is, and the default one is to come.
      if (name === undefined || name === defaultName || models.length === 0)
        throw new ApiError('model_not_ready', 'no announcement', {
          retryAfterSeconds: START_RETRY_AFTER_SECONDS,
        })
      const there = models.map((model) => model.name).join(', ')
      throw new ApiError('model_not_found', `there is no model "${name}"; there are ${there}`)
    },
  }
}

/** What was announced; nothing of a worker too old to say all we need. */
function read(text: string | null): ModelDescription | undefined {
  return text === null ? undefined : ModelDescription.safeParse(JSON.parse(text)).data
}
