import type { IncomingHttpHeaders } from 'node:http'
import type { ImagesResource } from '@sdcpu/contract'
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import type { Redis } from 'ioredis'
import { ApiError } from '../api-error.ts'
import type { Caller } from '../caller.ts'
import type { Update } from '../follow-images.ts'
import { digestOf } from '../idempotency.ts'
import type { Images } from '../images.ts'
import type { JobEvents } from '../job-events.ts'
import type { Models } from '../models.ts'
import type { RequestRecord } from '../request-records.ts'
import { findWorkers, maxPixelsOf } from '../system.ts'
import { onHangUp, waitForImages } from '../wait-for-images.ts'
import { createLostCallers } from './lost-callers.ts'
import { toImageError } from './openai-answer.ts'
import { type GenerateBody, modelAskedFor, toCreateImages } from './openai-request.ts'

// OpenAI's clients wait half a second before they try again, twice as long each time and at most 8; the rest is for the
// network, and for clients that do not count.
const FIRST_RETRY_MS = 500
const MAX_RETRY_MS = 8000
const GRACE_MS = 2500

export type VisitDeps = {
  redis: Redis
  prefix: string
  images: Images
  models: Models
  events: (model: string) => JobEvents
  callerOf: (request: FastifyRequest) => Caller
  logPrompts: boolean
}

/** A request that somebody waits for. */
export type Visit = { record: RequestRecord; caller: Caller; digest: string }

export type Visits = {
  /** Takes over a request like this whose caller was lost, or makes a new one. @throws why it is refused */
  begin(request: FastifyRequest, body: GenerateBody): Promise<Visit>
  /**
   * Waits until all images are drawn. Where that ends before, a caller that is lost may come back for a moment; then what
   * is not drawn is canceled.
   * @throws DrawingFault where they cannot be drawn, `canceled` where the caller hung up, `unavailable`
   */
  wait(
    request: FastifyRequest,
    reply: FastifyReply,
    visit: Visit,
    onUpdate?: (update: Update) => void,
  ): Promise<ImagesResource>
  /** Cancels what is still kept for lost callers. */
  close(): Promise<void>
}

/** What became of images that could not be drawn; nothing is left to wait for. */
export class DrawingFault extends ApiError {
  constructor({ code, message, category }: ApiError) {
    super(code, message, { category })
  }
}

/** Lets callers wait on their connection for what they ask for. */
export function createVisits(
  { redis, prefix, images, models, events, callerOf, logPrompts }: VisitDeps,
  log: FastifyBaseLogger,
): Visits {
  const lostCallers = createLostCallers(redis, { prefix, log })

  async function begin(request: FastifyRequest, body: GenerateBody): Promise<Visit> {
    const caller = callerOf(request)
    const model = await models.choose(modelAskedFor(body))
    const maxPixels = maxPixelsOf(await findWorkers(redis, { prefix, model: model.name }))
    const asked = await toCreateImages(body, { model, maxPixels })
    const previews = (body.stream && body.partial_images) || undefined
    const digest = digestOf([caller.owner, caller.turn, asked, previews])
    const known = await lostCallers.takeOver(digest)
    const { id, request: drawn } = await images
      .create(asked, caller, { id: known, requestId: request.id, previews })
      .catch(async (error) => {
        if (known !== undefined) await leave(request, { id: known, caller, digest })
        throw error
      })
    const { model: name, n, size, steps, prompt, negativePrompt } = drawn
    const isTakenOver = known !== undefined
    request.log.info(
      { id, model: name, n, size, steps, isTakenOver, ...(logPrompts && { prompt, negativePrompt }) },
      'accepted',
    )
    return { record: await images.findRecord(id, caller), caller, digest }
  }

  /** Lets a lost caller come back for a moment, and cancels then. */
  async function leave(
    { headers, log }: FastifyRequest,
    { id, caller, digest }: { id: string; caller: Caller; digest: string },
  ): Promise<void> {
    const cancel = async () => void (await images.cancel(id, caller))
    await lostCallers
      .leave(digest, id, { graceMs: graceOf(headers), cancel })
      .catch((err) => log.warn({ err, id }, 'nobody waits for what is still drawn'))
  }

  async function wait(
    request: FastifyRequest,
    reply: FastifyReply,
    { record, caller, digest }: Visit,
    onUpdate?: (update: Update) => void,
  ): Promise<ImagesResource> {
    const hungUp = new AbortController()
    const forget = onHangUp(reply, () => hungUp.abort())
    const source = { images, events: events(record.request.model) }
    try {
      const ended = await waitForImages(source, record, { signal: hungUp.signal, onUpdate })
      if (!ended) throw new ApiError('canceled', 'the caller hung up')
      const fault = toImageError(ended)
      if (fault) throw new DrawingFault(fault)
      return ended
    } catch (error) {
      if (!(error instanceof DrawingFault)) await leave(request, { id: record.id, caller, digest })
      throw error
    } finally {
      forget()
    }
  }

  return { begin, wait, close: () => lostCallers.close() }
}

/** How long a lost caller may take to come back. */
function graceOf(headers: IncomingHttpHeaders): number {
  const retries = Number(headers['x-stainless-retry-count'] ?? 0) || 0
  return GRACE_MS + Math.min(FIRST_RETRY_MS * 2 ** Math.max(0, retries), MAX_RETRY_MS)
}
