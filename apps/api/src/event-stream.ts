import { once } from 'node:events'
import type { FastifyReply } from 'fastify'
import type { Update } from './follow-images.ts'

const HEARTBEAT_MS = 15_000 // proxies and load balancers drop what is silent for a minute or less
const RECONNECT_MS = 2000

export type EventStream = {
  /** Sends a frame and waits while the client is slower than we are. */
  send(frame: string): Promise<void>
  end(): void
}

/** Begins an answer of server-sent events, with comments as heartbeats until it ends. */
export function openEventStream(
  reply: FastifyReply,
  { heartbeatMs = HEARTBEAT_MS }: { heartbeatMs?: number | undefined } = {},
): EventStream {
  reply.hijack()
  const { raw } = reply
  raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    connection: 'close', // or a server that shuts down would wait for the next question on it
    'x-accel-buffering': 'no', // nginx would hold events back to fill its buffer
  })
  raw.flushHeaders()
  const heartbeat = setInterval(() => raw.write(': keepalive\n\n'), heartbeatMs)
  return {
    async send(frame) {
      if (!raw.destroyed && !raw.write(frame)) await Promise.race([once(raw, 'drain'), once(raw, 'close')])
    },
    end() {
      clearInterval(heartbeat)
      raw.end()
    },
  }
}

/**
 * Answers with updates as server-sent events until they end or the client is gone.
 * A fault after the first update only ends the answer: the client comes back by itself and says where it was.
 * @throws what comes before the first update
 */
export async function sendEventStream(
  reply: FastifyReply,
  updates: AsyncGenerator<Update>,
  options: { heartbeatMs?: number } = {},
): Promise<void> {
  const first = await updates.next()
  const stream = openEventStream(reply, options)
  try {
    await stream.send(`retry: ${RECONNECT_MS}\n\n`)
    for (let next = first; !next.done; next = await updates.next()) await stream.send(toFrame(next.value))
  } catch (err) {
    if (!reply.raw.destroyed) reply.request.log.warn({ err }, 'an event stream ended early')
  } finally {
    stream.end()
  }
}

function toFrame({ name, id, data }: Update): string {
  return `event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`
}
