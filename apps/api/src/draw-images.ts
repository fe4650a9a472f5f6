import { setTimeout as sleep } from 'node:timers/promises'
import type { ErrorCode, ImagesResource } from '@sdcpu/contract'
import { ApiError } from './api-error.ts'
import type { Caller } from './caller.ts'
import type { Images } from './images.ts'
import type { JobEvents } from './job-events.ts'
import { waitForImages } from './wait-for-images.ts'

const FIRST_LOOK_MS = 250 // for room, doubled each time
const LONGEST_LOOK_MS = 5000 // each look asks Redis, and the safety service where there is one
const HELD_LIMIT = 100 // requests without a place in the queue; each holds a connection
const HELD_CHARACTERS = 32 * 2 ** 20 // of what they carry, of which a picture may have 11 million alone

const NO_ROOM: ErrorCode[] = ['queue_full', 'rate_limited', 'model_not_ready']

/** A request for images whose caller waits for them on one connection. */
export type Drawing = {
  /** What the request will be known by. */
  id: string
  caller: Caller
  /** Asks for the images under `id`; called again where there was no room. */
  create: () => Promise<ImagesResource>
  /** Aborted when nobody waits any more. */
  signal: AbortSignal
  /** How long to wait for room in the queue before it is refused. */
  holdMs: number
  /** Characters that it keeps in memory meanwhile. */
  characters?: number
  /** Whether it was given up by other means, asked before it is created and after. */
  isGivenUp?: () => Promise<boolean>
}

export type DrawImages = (drawing: Drawing) => Promise<ImagesResource | undefined>

/**
 * Gives what asks for images and waits until they have ended; undefined where it was given up before it had a place in
 * the queue. What nobody waits for is canceled.
 * @throws what creating throws, `unavailable`
 */
export function createDrawImages({
  images,
  events,
}: {
  images: Images
  events: (model: string) => JobEvents
}): DrawImages {
  let held = 0
  let heldCharacters = 0

  async function hold(error: ApiError, { untilMs, tries, signal, characters }: Hold): Promise<void> {
    const leftMs = untilMs - Date.now()
    const isTooMuch = held >= HELD_LIMIT || heldCharacters + characters > HELD_CHARACTERS
    if (!NO_ROOM.includes(error.code) || leftMs <= 0 || isTooMuch) throw error
    const askedMs = (error.retryAfterSeconds ?? Infinity) * 1000
    held += 1
    heldCharacters += characters
    try {
      const waitMs = Math.min(FIRST_LOOK_MS * 2 ** tries, LONGEST_LOOK_MS, askedMs, leftMs)
      await sleep(waitMs, undefined, { signal }).catch(() => {}) // aborted: the next look sees it
    } finally {
      held -= 1
      heldCharacters -= characters
    }
  }

  async function admit({ create, signal, isGivenUp, holdMs, characters }: Required<Drawing>) {
    const untilMs = Date.now() + holdMs
    for (let tries = 0; ; tries++) {
      if (signal.aborted || (await isGivenUp())) return undefined
      try {
        return await create()
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        await hold(error, { untilMs, tries, signal, characters })
      }
    }
  }

  return async ({ isGivenUp = async () => false, characters = 0, ...drawing }) => {
    const { id, caller, signal } = drawing
    if (!(await admit({ ...drawing, isGivenUp, characters }))) return undefined
    if (await isGivenUp()) return images.cancel(id, caller)
    const record = await images.findRecord(id, caller)
    const source = { images, events: events(record.request.model) }
    return (await waitForImages(source, record, { signal })) ?? images.cancel(id, caller)
  }
}

type Hold = { untilMs: number; tries: number; signal: AbortSignal; characters: number }
