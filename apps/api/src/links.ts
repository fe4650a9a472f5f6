import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Redis } from 'ioredis'
import { reply } from './redis.ts'

export type Links = {
  /** A text that lets whoever has it fetch this image. */
  sign(id: string, index: number): Promise<string>
  isSigned(id: string, index: number, signature: string): Promise<boolean>
}

/** Signs links to images, so that a browser can show them where requests need a key; all replicas share the secret. */
export function createLinks(redis: Redis, prefix: string): Links {
  let known: string | undefined

  async function secret(): Promise<string> {
    if (known) return known
    const key = `${prefix}:link-secret`
    await reply(redis.set(key, randomBytes(32).toString('hex'), 'NX'))
    known = (await reply(redis.get(key))) ?? undefined
    if (!known) throw new Error('the secret of links was written and is not there. This is a bug.')
    return known
  }

  async function sign(id: string, index: number): Promise<string> {
    const hmac = createHmac('sha256', await secret())
    return hmac.update(`${id}/${index}`).digest('base64url')
  }

  return {
    sign,
    async isSigned(id, index, signature) {
      const expected = Buffer.from(await sign(id, index))
      const given = Buffer.from(signature)
      return expected.length === given.length && timingSafeEqual(expected, given)
    },
  }
}
