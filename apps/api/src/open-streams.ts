import type { FastifyInstance, FastifyReply } from 'fastify'
import { ApiError } from './api-error.ts'
import { onHangUp } from './wait-for-images.ts'

const RETRY_AFTER_SECONDS = 5

export type OpenStreams = {
  /**
   * Runs what keeps an answer open; the signal is aborted when the caller hangs up or the app closes.
   * @throws `rate_limited` where too many are open
   */
  run<T>(reply: FastifyReply, work: (signal: AbortSignal) => Promise<T>): Promise<T>
}

/** Holds answers that stay open to `limit` of them, since each takes a connection, and ends them when the app closes. */
export function createOpenStreams(app: FastifyInstance, limit: number): OpenStreams {
  const open = new Set<AbortController>()
  app.addHook('preClose', async () => {
    for (const stream of open) stream.abort()
  })

  return {
    async run(reply, work) {
      if (open.size >= limit)
        throw new ApiError('rate_limited', `${open.size} event streams are open and the limit is ${limit}`, {
          retryAfterSeconds: RETRY_AFTER_SECONDS,
        })
      const stream = new AbortController()
      const forget = onHangUp(reply, () => stream.abort())
      open.add(stream)
      try {
        return await work(stream.signal)
      } finally {
        open.delete(stream)
        forget()
      }
    },
  }
}
