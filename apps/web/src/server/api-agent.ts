import { AsyncLocalStorage } from 'node:async_hooks'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Agent, type Dispatcher } from 'undici'

// Connecting is quick or it does not happen at all: in a cluster a missing Service swallows packets silently.
const CONNECT_TIMEOUT_MS = 3000

/**
 * Asks the API on behalf of the proxy, and hangs up there when the caller hangs up here: the API then draws no further.
 * The proxy itself does so only once an answer has begun, which takes as long as a picture.
 * @param apiTimeoutMs how long the API may take to begin an answer
 */
export function createApiAgent(apiTimeoutMs: number) {
  const agent = new Agent({
    connect: { timeout: CONNECT_TIMEOUT_MS },
    headersTimeout: apiTimeoutMs,
    bodyTimeout: 0, // a stream of events may be silent for as long as a picture waits in the queue
  })
  // The proxy gives no way to hand a signal to the request that it makes.
  const signals = new AsyncLocalStorage<AbortSignal>()

  const request = (options: Dispatcher.RequestOptions, callback: RequestCallback) =>
    agent.request({ ...options, signal: signals.getStore() ?? null }, callback)

  return {
    // Of the forms that undici's own has, the proxy uses this one alone.
    undici: { request } as unknown as { request: Dispatcher['request'] },
    /** Runs before the proxy asks. */
    preHandler(_: FastifyRequest, reply: FastifyReply, next: () => void) {
      const hungUp = new AbortController()
      reply.raw.once('close', () => {
        if (!reply.raw.writableFinished) hungUp.abort()
      })
      signals.run(hungUp.signal, next)
    },
    close: () => agent.destroy(),
  }
}

type RequestCallback = (error: Error | null, data: Dispatcher.ResponseData) => void
