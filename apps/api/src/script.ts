import { createHash } from 'node:crypto'
import type { Redis } from 'ioredis'
import { reply } from './redis.ts'

/** Runs a script with its keys, all of one slot, and its arguments. @throws `unavailable` */
export type Script<Answer> = (keys: string[], args?: (string | number)[]) => Promise<Answer>

/** Makes a script that is sent whole where Redis does not know it yet, as after a restart, and by its digest otherwise. */
export function createScript<Answer>(redis: Redis, lua: string): Script<Answer> {
  const digest = createHash('sha1').update(lua).digest('hex')
  return (keys, args = []) => {
    const running = redis.evalsha(digest, keys.length, ...keys, ...args).catch((error: Error) => {
      if (!error.message.startsWith('NOSCRIPT')) throw error
      return redis.eval(lua, keys.length, ...keys, ...args)
    })
    return reply(running as Promise<Answer>)
  }
}
