import { createHmac, randomUUID } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import { isTerminal } from '@sdcpu/contract'
import { DelayedError, type Job, Queue, Worker } from 'bullmq'
import type { FastifyBaseLogger } from 'fastify'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import { ApiError } from './api-error.ts'
import type { Images } from './images.ts'
import { isPublicAddress, lookupPublic } from './public-address.ts'
import { reply } from './redis.ts'
import type { RequestRecords } from './request-records.ts'

const QUEUE = 'webhooks'
const LOOK_MS = 1000 // between two looks whether a request has ended
const TIMEOUT_MS = 10_000
const ATTEMPTS = 8 // the last one some two minutes after the first
const FIRST_RETRY_MS = 1000

/** Whom requests may ask to be told of their end. */
export const WebhookConfig = z.object({
  WEBHOOK_HOSTS: z
    .string()
    .default('')
    .transform((text) => text.split(',').flatMap((host) => host.trim().toLowerCase() || []))
    .describe(
      'Hosts that webhooks may be sent to, with commas; *.example.com for all below, * for any; none when empty',
    ),
  WEBHOOK_ALLOW_PRIVATE: z
    .enum(['true', 'false'])
    .default('false')
    .transform((text) => text === 'true')
    .describe('Whether webhooks may go to private addresses, such as services of the same cluster'),
  WEBHOOK_SECRET: z
    .string()
    .min(16)
    .optional()
    .describe('What webhooks are signed with; at least 16 characters'),
})
export type WebhookConfig = z.infer<typeof WebhookConfig>

/** What no single variable can tell is wrong. */
export function checkWebhookConfig(
  { WEBHOOK_HOSTS, WEBHOOK_SECRET }: WebhookConfig,
  context: z.RefinementCtx,
): void {
  if (WEBHOOK_HOSTS.length > 0 && !WEBHOOK_SECRET)
    context.addIssue({
      code: 'custom',
      path: ['WEBHOOK_SECRET'],
      message: 'is missing; receivers know webhooks by their signature',
    })
}

export type Webhooks = {
  /** @throws `invalid_request` where webhooks may not go there */
  check(url: string): void
  /** Sees to it that the end of a request is told. @throws `unavailable` */
  expect(requestId: string, url: string): Promise<void>
  close(): Promise<void>
}

type Delivery = { requestId: string; url: string }

/**
 * Tells receivers when requests have ended, as Standard Webhooks are: signed, repeated until they are taken, the same id
 * each time. What is to be told waits in a queue of its own, so that no restart forgets it.
 */
export function createWebhooks({
  config,
  redis,
  openConnection,
  prefix,
  images,
  records,
  log,
}: {
  config: WebhookConfig
  redis: Redis
  openConnection: () => Redis
  prefix: string
  images: Images
  records: RequestRecords
  log: FastifyBaseLogger
}): Webhooks {
  const isOn = config.WEBHOOK_HOSTS.length > 0
  const queue = isOn
    ? new Queue<Delivery>(QUEUE, { connection: redis, prefix, skipVersionCheck: true })
    : undefined
  queue?.on('error', () => {}) // the connection reports its faults itself
  const connection = isOn ? openConnection() : undefined
  const worker = connection
    ? new Worker<Delivery>(QUEUE, handle, { connection, prefix, concurrency: 20 })
    : undefined
  worker?.on('error', () => {})
  worker?.on('failed', (job, err) => {
    if (job?.finishedOn) log.warn({ err, id: job.data.requestId }, 'gave up a webhook')
  })

  async function handle(job: Job<Delivery>, token?: string): Promise<void> {
    const record = await records.findMaybe(job.data.requestId)
    if (!record) return // deleted, so there is nothing to tell
    const resource = await images.describeAll(record)
    if (!isTerminal(resource.status)) {
      await job.moveToDelayed(Date.now() + LOOK_MS, token)
      throw new DelayedError()
    }
    await deliver(job.data.url, JSON.stringify({ type: 'images.ended', data: resource }), job.id!)
  }

  function deliver(url: string, body: string, id: string): Promise<void> {
    const timestamp = Math.floor(Date.now() / 1000)
    const signature = createHmac('sha256', config.WEBHOOK_SECRET!).update(`${id}.${timestamp}.${body}`)
    const target = new URL(url)
    if (!mayGoTo(target)) throw new Error(`${target.hostname} is not allowed any more`)
    return send(target, body, {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': `v1,${signature.digest('base64')}`,
    })
  }

  function send(url: URL, body: string, headers: Record<string, string>): Promise<void> {
    const request = url.protocol === 'https:' ? httpsRequest : httpRequest
    return new Promise((resolve, reject) => {
      const sending = request(
        url,
        {
          method: 'POST',
          headers: { ...headers, 'content-length': Buffer.byteLength(body) },
          signal: AbortSignal.timeout(TIMEOUT_MS),
          agent: false,
          ...(!config.WEBHOOK_ALLOW_PRIVATE && { lookup: lookupPublic }),
        },
        (response) => {
          response.resume()
          const { statusCode = 0 } = response
          // A redirect could lead anywhere; who moved says so when the request is made.
          if (statusCode >= 200 && statusCode < 300) resolve()
          else reject(new Error(`${url.hostname} answered ${statusCode}`))
        },
      )
      sending.on('error', reject).end(body)
    })
  }

  function mayGoTo({ hostname, protocol, username, password }: URL): boolean {
    const host = hostname.toLowerCase().replaceAll(/^\[|\]$/g, '')
    if (!['http:', 'https:'].includes(protocol) || username || password) return false
    if (!config.WEBHOOK_ALLOW_PRIVATE && isIP(host) !== 0 && !isPublicAddress(host)) return false
    return config.WEBHOOK_HOSTS.some(
      (allowed) =>
        allowed === '*' || allowed === host || (allowed.startsWith('*.') && host.endsWith(allowed.slice(1))),
    )
  }

  return {
    check(url) {
      if (!isOn) throw new ApiError('invalid_request', 'webhookUrl: this service sends no webhooks')
      if (!mayGoTo(new URL(url)))
        throw new ApiError(
          'invalid_request',
          `webhookUrl: webhooks may not be sent to ${new URL(url).hostname}`,
        )
    },
    async expect(requestId, url) {
      const options = {
        jobId: randomUUID(),
        attempts: ATTEMPTS,
        backoff: { type: 'exponential', delay: FIRST_RETRY_MS },
        removeOnComplete: true,
        removeOnFail: { age: 86_400 },
      }
      await reply(queue!.add('ended', { requestId, url }, options))
    },
    async close() {
      await worker?.close(true)
      connection?.disconnect()
    },
  }
}
