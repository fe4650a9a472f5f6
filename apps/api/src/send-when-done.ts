import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyReply } from 'fastify'

/** Gateways give up on an answer that has not begun after 60 to 100 seconds, and on one that is silent as long. */
export const HEARTBEAT_MS = 15_000

const WAITING = Symbol('not done in time')

/**
 * Answers with JSON once it is there. Where that takes longer than a heartbeat, the answer begins with status 200 and a
 * space each heartbeat, which JSON allows before its value; a failure after that can only be told by `toErrorBody`.
 * @throws what `done` rejects with before the first heartbeat
 */
export async function sendWhenDone(
  reply: FastifyReply,
  done: Promise<unknown>,
  { heartbeatMs, toErrorBody }: { heartbeatMs: number; toErrorBody: (thrown: unknown) => unknown },
): Promise<void> {
  done.catch(() => {}) // whoever hangs up meanwhile leaves nobody to tell
  const first = await Promise.race([done, sleep(heartbeatMs, WAITING, { ref: false })])
  reply.type('application/json; charset=utf-8').header('cache-control', 'no-store')
  if (first !== WAITING) return void (await reply.send(JSON.stringify(first)))
  reply.header('x-accel-buffering', 'no') // nginx would hold the spaces back to fill its buffer
  await reply.send(Readable.from(beat(done, { heartbeatMs, toErrorBody })))
}

async function* beat(
  done: Promise<unknown>,
  { heartbeatMs, toErrorBody }: { heartbeatMs: number; toErrorBody: (thrown: unknown) => unknown },
): AsyncGenerator<string> {
  const body = done.catch(toErrorBody)
  for (;;) {
    yield ' '
    const value = await Promise.race([body, sleep(heartbeatMs, WAITING, { ref: false })])
    if (value !== WAITING) return yield JSON.stringify(value)
  }
}
