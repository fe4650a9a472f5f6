import { setTimeout as sleep } from 'node:timers/promises'
import { type Image, ImageProgress, type ImagesResource, isTerminal, seedOf } from '@sdcpu/contract'
import type { Images } from './images.ts'
import type { JobEvent, JobEvents } from './job-events.ts'
import type { RequestRecord } from './request-records.ts'

// How often what no event tells is looked at: places in the queue, and whether an event was trimmed away unread.
const LOOK_MS = 2000

/** Id of the last update there is. */
export const END = 'end'

/** What a follower is told: a whole request, or one image of it. An id is there where reading can begin again. */
export type Update =
  | { name: 'images'; id?: string; data: ImagesResource }
  | { name: 'image'; id: string; data: Image }

/**
 * Tells what becomes of a request until it is over: first all of it, or with `lastEventId` everything since, then each
 * image that changes, and all of it again when it is over, or when only places in the queue have changed.
 */
export async function* followImages(
  { images, events }: { images: Images; events: JobEvents },
  record: RequestRecord,
  { lastEventId, signal }: { lastEventId?: string; signal: AbortSignal },
): AsyncGenerator<Update> {
  const waiting: JobEvent[] = []
  let wake = () => {}
  const unsubscribe = await events.subscribe(record.id, (event) => {
    waiting.push(event)
    wake()
  })
  try {
    let last = lastEventId
    const replayed = lastEventId === undefined ? [] : await events.readSince(record.id, lastEventId)
    waiting.unshift(...replayed)
    let shown = ''
    for (;;) {
      for (let event = waiting.shift(); event; event = waiting.shift()) {
        if (last !== undefined && !isAfter(event.eventId, last)) continue // replayed and heard
        last = event.eventId
        if (event.name === 'preview') continue // nothing of the request has changed
        yield { name: 'image', id: last, data: await toImage(images, record, event) }
      }
      const whole = await images.describeAll(record)
      if (waiting.length > 0) continue
      if (isTerminal(whole.status)) return yield { name: 'images', id: END, data: whole }
      // Steps are told by events; the rest of it only now and then.
      const places = JSON.stringify(whole.images.map(({ status, position }) => [status, position]))
      if (places !== shown && (shown !== '' || lastEventId === undefined))
        yield { name: 'images', id: last, data: whole }
      shown = places
      const heard = new Promise<void>((resolve) => {
        wake = resolve
      })
      if (waiting.length === 0) await Promise.race([heard, sleep(LOOK_MS, undefined, { signal, ref: false })])
      signal.throwIfAborted()
    }
  } finally {
    unsubscribe()
  }
}

async function toImage(images: Images, record: RequestRecord, event: JobEvent): Promise<Image> {
  const { index, data } = event
  const progress = data === undefined ? undefined : ImageProgress.safeParse(JSON.parse(data)).data
  if (!progress) return images.describe(record, index)
  const { seed, steps } = record.request
  return { index, seed: seedOf(seed, index), status: 'running', step: progress.step, steps }
}

function isAfter(a: string, b: string): boolean {
  const [msA = 0, sequenceA = 0] = a.split('-').map(Number)
  const [msB = 0, sequenceB = 0] = b.split('-').map(Number)
  return msA > msB || (msA === msB && sequenceA > sequenceB)
}
