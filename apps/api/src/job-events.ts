import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { Queues } from './queues.ts'
import { type ImagesQueue, reply } from './redis.ts'

const BLOCK_MS = 5000
const SILENCE_MS = BLOCK_MS + 5000 // a connection that says nothing for this long is dead, whatever TCP thinks
const RETRY_MS = 500
const READ_COUNT = 1000
const OF_INTEREST = new Set(['waiting', 'progress', 'completed', 'failed', 'canceled', 'preview'])

/** Something that happened to the job of one image. */
export type JobEvent = {
  /** Place in the queue's stream of events; grows. */
  eventId: string
  name: string
  requestId: string
  index: number
  /** JSON, with events named `progress`. */
  data?: string
}

export type JobEvents = {
  /** Calls `listener` with each event of a request from now on, in order; resolves once it does. */
  subscribe(requestId: string, listener: (event: JobEvent) => void): Promise<() => void>
  /** Events of a request after an earlier one, as far as they are kept. */
  readSince(requestId: string, eventId: string): Promise<JobEvent[]>
  close(): void
}

/**
 * Follows the events of a queue, once for all who listen. BullMQ writes them in the same step as the change they tell
 * of, so none is missing; after a lost connection reading goes on where it was.
 */
function createJobEvents({
  redis,
  queue,
  openConnection,
}: {
  redis: Redis
  queue: ImagesQueue
  /** A connection of its own that waits for Redis: reading blocks it. */
  openConnection: () => Redis
}): JobEvents {
  const key = queue.toKey('events')
  const listeners = new Map<string, Set<(event: JobEvent) => void>>()
  let connection: Redis | undefined
  let reading: Promise<void> | undefined
  let closed = false

  // Reading goes on without listeners: to begin again would take a round trip from each new one.
  async function begin(): Promise<void> {
    const [newest] = await reply(redis.xrevrange(key, '+', '-', 'COUNT', 1))
    connection = openConnection()
    void read(connection, newest?.[0] ?? '0-0')
  }

  async function read(connection: Redis, from: string): Promise<void> {
    let last = from
    while (!closed) {
      try {
        const answer = await withWatchdog(connection, () =>
          connection.xread('COUNT', READ_COUNT, 'BLOCK', BLOCK_MS, 'STREAMS', key, last),
        )
        for (const [eventId, fields] of answer?.[0]?.[1] ?? []) {
          last = eventId
          const event = toEvent(eventId, fields)
          for (const listener of listeners.get(event?.requestId ?? '') ?? []) listener(event!)
        }
      } catch {
        if (!closed) await sleep(RETRY_MS) // the connection reports its faults itself
      }
    }
  }

  return {
    async subscribe(requestId, listener) {
      const own = listeners.get(requestId) ?? new Set()
      listeners.set(requestId, own.add(listener))
      const unsubscribe = () => {
        own.delete(listener)
        if (own.size === 0) listeners.delete(requestId)
      }
      try {
        reading ??= begin()
        await reading
      } catch (error) {
        reading = undefined
        unsubscribe()
        throw error
      }
      return unsubscribe
    },

    async readSince(requestId, eventId) {
      const entries = await reply(redis.xrange(key, `(${eventId}`, '+'))
      const events = entries.map(([id, fields]) => toEvent(id, fields))
      return events.filter((event) => event !== undefined).filter((event) => event.requestId === requestId)
    },

    close() {
      closed = true
      connection?.disconnect()
    },
  }
}

async function withWatchdog<T>(connection: Redis, run: () => Promise<T>): Promise<T> {
  const timer = setTimeout(() => connection.disconnect(true), SILENCE_MS)
  try {
    return await run()
  } finally {
    clearTimeout(timer)
  }
}

/** The events of each model's queue, followed from when somebody first asks. */
export function openJobEvents(
  redis: Redis,
  { queues, openConnection }: { queues: Queues; openConnection: () => Redis },
): { of(model: string): JobEvents; close(): void } {
  const open = new Map<string, JobEvents>()
  return {
    of(model) {
      const events = open.get(model) ?? createJobEvents({ redis, queue: queues(model), openConnection })
      open.set(model, events)
      return events
    },
    close() {
      for (const events of open.values()) events.close()
    },
  }
}

/** Whether a text is the id of an event. */
export function isEventId(text: string): boolean {
  return /^\d{1,15}-\d{1,15}$/.test(text)
}

function toEvent(eventId: string, fields: string[]): JobEvent | undefined {
  const field = (name: string) => fields[fields.indexOf(name) + 1]
  const name = field('event') ?? ''
  const [, requestId, index] = /^(.+)-(\d+)$/.exec(field('jobId') ?? '') ?? []
  if (!OF_INTEREST.has(name) || requestId === undefined) return undefined
  return {
    eventId,
    name,
    requestId,
    index: Number(index),
    ...(name === 'progress' && { data: field('data') }),
  }
}
