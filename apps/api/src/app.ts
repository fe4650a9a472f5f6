import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Writable } from 'node:stream'
import helmet from '@fastify/helmet'
import type { ErrorBody, PictureStoreConfig } from '@sdcpu/contract'
import { openPictureStore } from '@sdcpu/pictures'
import { createSafetyCheck, type SafetyConfig } from '@sdcpu/safety'
import fastify, { type FastifyReply, type FastifyRequest, LogController, type RouteOptions } from 'fastify'
import type { Redis } from 'ioredis'
import { addA1111Routes } from './a1111/add-a1111-routes.ts'
import { createAdmission } from './admission.ts'
import { ApiError, publicMessage, statusOf, toApiError } from './api-error.ts'
import { type ApiKey, challengeAt } from './api-keys.ts'
import { type Caller, identifyCaller } from './caller.ts'
import type { ApiConfig } from './config.ts'
import { createDrawImages } from './draw-images.ts'
import { createForecast } from './forecast.ts'
import { HELMET, refuseUnread } from './hardening.ts'
import { createIdempotency } from './idempotency.ts'
import { addImageRoutes, BODY_LIMIT_BYTES } from './image-routes.ts'
import { createImages } from './images.ts'
import { openJobEvents } from './job-events.ts'
import { createLinks } from './links.ts'
import { addMcpRoutes } from './mcp/mcp-routes.ts'
import { addMetrics } from './metrics.ts'
import { addModelRoutes } from './model-routes.ts'
import { createModels } from './models.ts'
import { createOpenStreams } from './open-streams.ts'
import { addOpenAiRoutes } from './openai/openai-routes.ts'
import type { Queues } from './queues.ts'
import { reply as replyOf } from './redis.ts'
import { createRequestRecords } from './request-records.ts'
import { HEARTBEAT_MS } from './send-when-done.ts'
import { addServiceRoutes } from './service-routes.ts'
import { createRecentWorkers, createSystem } from './system.ts'
import { addText2ImageRoutes } from './text2image-routes.ts'
import { createWebhooks, type WebhookConfig } from './webhooks.ts'
import { withZod, type ZodApp } from './zod-app.ts'

const HEADER_LIMIT_BYTES = 16 * 1024
const CHECK_INTERVAL_MS = 5000 // how often Node looks for requests that come too slowly
const HOLD_MS = 300_000 // as long as Open WebUI may be set to wait, and longer than a queue needs to move
const CLOSING_MS = 15_000 // within the grace of a pod that is stopped
const OPEN = new Set(['/metrics', '/healthz', '/readyz', '/docs', '/docs/style.css', '/openapi.json'])
const REQUEST_ID = /^[\w.:-]{1,100}$/ // a caller's own id goes into logs and headers

/** Builds the API; `main.ts` makes it listen, tests inject. */
export function buildApp({
  redis,
  queues,
  openConnection,
  apiKeys,
  log,
  config,
  heartbeatMs = HEARTBEAT_MS,
  holdMs = HOLD_MS,
}: {
  redis: Redis
  queues: Queues
  /** A further connection to Redis that waits for it, to read events on. */
  openConnection: () => Redis
  /** Without them everybody may use the API. */
  apiKeys?: ApiKey[]
  /** Where log lines go; standard output when absent. */
  log?: Writable
  /** Milliseconds of silence after which clients that wait for images are sent something; 15 seconds when absent. */
  heartbeatMs?: number
  /** Milliseconds that AUTOMATIC1111's requests are held where the queue has no room; 5 minutes when absent. */
  holdMs?: number
  config: PictureStoreConfig &
    SafetyConfig &
    WebhookConfig &
    Pick<
      ApiConfig,
      | 'MODEL_NAME'
      | 'REDIS_PREFIX'
      | 'QUEUE_LIMIT'
      | 'STREAM_LIMIT'
      | 'TRUST_PROXY'
      | 'LOG_PROMPTS'
      | 'RESULT_TTL_SECONDS'
      | 'REQUEST_TIMEOUT_SECONDS'
      | 'LOG_LEVEL'
    >
}): ZodApp {
  const app = withZod(
    fastify({
      logger: { level: config.LOG_LEVEL, ...(log && { stream: log }) },
      logController: new LogController({ disableRequestLogging: true }), // one line of our own instead of two
      bodyLimit: BODY_LIMIT_BYTES,
      requestTimeout: config.REQUEST_TIMEOUT_SECONDS * 1000,
      http: {
        maxHeaderSize: HEADER_LIMIT_BYTES,
        // Node takes the longer of the two for the whole request.
        headersTimeout: config.REQUEST_TIMEOUT_SECONDS * 1000,
        connectionsCheckingInterval: CHECK_INTERVAL_MS,
      },
      clientErrorHandler: refuseUnread,
      genReqId: requestIdOf,
      trustProxy: config.TRUST_PROXY,
      return503OnClosing: false, // what arrives while draining is served: Redis is closed after
      frameworkErrors: (error, request, reply) => refuse(error, request, reply),
    }),
  )
  const routes: RouteOptions[] = []
  app.addHook('onRoute', (route) => {
    routes.push(route)
  })
  const errors = new WeakMap<FastifyRequest, ApiError>()

  function noteError(thrown: unknown, request: FastifyRequest): ApiError {
    const error = toApiError(thrown, { bodyLimit: request.routeOptions.bodyLimit })
    errors.set(request, error)
    return error
  }

  function beginRefusal(thrown: unknown, request: FastifyRequest, reply: FastifyReply): ApiError {
    const error = noteError(thrown, request)
    if (error.code === 'unauthorized') reply.header('www-authenticate', challengeAt(request.url))
    if (error.retryAfterSeconds !== undefined) reply.header('retry-after', error.retryAfterSeconds)
    reply.header('x-request-id', request.id)
    return error
  }

  function refuse(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const error = beginRefusal(thrown, request, reply)
    return reply.code(statusOf(error.code)).send(toErrorBody(error, request))
  }

  void app.register(helmet, HELMET)
  app.removeContentTypeParser('text/plain') // JSON is all we read; Fastify would take this too
  app.setErrorHandler(refuse)
  app.setNotFoundHandler((request, reply) =>
    refuse(
      new ApiError('not_found', `there is no ${request.method} ${request.url.slice(0, 100)}`),
      request,
      reply,
    ),
  )
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
  })
  const callers = new WeakMap<FastifyRequest, Caller>()
  app.addHook('onRequest', async (request) => {
    if (isOpen(request)) return
    callers.set(request, identifyCaller(apiKeys, request))
  })
  const callerOf = (request: FastifyRequest): Caller =>
    callers.get(request) ?? identifyCaller(apiKeys, request)
  app.addHook('onResponse', async (request, reply) => {
    const { method } = request
    const path = request.url.split('?', 1)[0] // a query may hold what somebody typed
    const error = errors.get(request)
    const line = {
      method,
      path,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      code: error?.code,
    }
    if (reply.statusCode >= 500) request.log.error({ ...line, err: error }, 'request')
    else request.log.info(line, 'request')
  })

  app.get('/healthz', async () => ({ status: 'ok' }))
  app.get('/readyz', async () => {
    await replyOf(redis.ping())
    return { status: 'ready' }
  })
  const { REDIS_PREFIX: prefix, QUEUE_LIMIT: queueLimit } = config
  const kept = { redis, prefix, resultTtlSeconds: config.RESULT_TTL_SECONDS }
  const models = createModels({ redis, prefix, defaultName: config.MODEL_NAME })
  const workers = createRecentWorkers(redis, prefix)
  const forecast = createForecast(redis, { queues, workers, prefix })
  const admission = createAdmission({ redis, queues, forecast, workers, prefix, queueLimit })
  const links = createLinks(redis, prefix)
  const pictures = openPictureStore(config, { redis, prefix, ttlSeconds: kept.resultTtlSeconds })
  const events = openJobEvents(redis, { queues, openConnection })
  app.addHook('onClose', async () => events.close())
  const metrics = addMetrics(app, {
    ...{ models, queues, workers: { redis, prefix } },
    codeOf: (request) => errors.get(request)?.code,
  })
  addModelRoutes(app, models)
  addServiceRoutes(app, { routes, system: createSystem({ redis, queues, models, prefix, queueLimit }) })
  const records = createRequestRecords(kept)
  const images = createImages({
    ...kept,
    ...{ queues, models, admission, forecast, links, metrics, pictures },
    records,
    safety: createSafetyCheck(config),
  })
  const webhooks = createWebhooks({
    ...{ config, redis, openConnection, prefix, images, records, log: app.log },
  })
  app.addHook('onClose', () => webhooks.close())
  const streams = createOpenStreams(app, config.STREAM_LIMIT)
  addImageRoutes(app, {
    images,
    webhooks,
    events: events.of,
    idempotency: createIdempotency(kept),
    links,
    streams,
    logPrompts: config.LOG_PROMPTS,
    callerOf,
  })
  const waiting = {
    ...{ images, callerOf, heartbeatMs, logPrompts: config.LOG_PROMPTS },
    draw: createDrawImages({ images, events: events.of }),
    closing: abortOnClose(app),
  }
  addA1111Routes(app, { ...waiting, redis, prefix, models, beginRefusal, holdMs })
  addText2ImageRoutes(app, {
    ...{ ...waiting, links },
    toErrorBody(thrown, request) {
      const error = toApiError(thrown, { bodyLimit: request.routeOptions.bodyLimit })
      request.log.warn({ err: error, code: error.code }, 'an answer that had begun ended with an error')
      return toErrorBody(error, request)
    },
  })
  addOpenAiRoutes(app, {
    ...{ redis, prefix, images, models, events: events.of, callerOf, noteError, heartbeatMs },
    logPrompts: config.LOG_PROMPTS,
  })
  addMcpRoutes(app, { redis, prefix, images, models, events: events.of, streams, callerOf })
  return app
}

function toErrorBody(error: ApiError, { id: requestId }: FastifyRequest): ErrorBody {
  const { code, category } = error
  return { error: { code, message: publicMessage(error), requestId, ...(category && { category }) } }
}

/** Aborted when the app is closing and has waited for its requests as long as it may. */
function abortOnClose(app: ZodApp): AbortSignal {
  const closing = new AbortController()
  app.addHook('preClose', async () => {
    setTimeout(() => closing.abort(), CLOSING_MS).unref()
  })
  return closing.signal
}

function requestIdOf({ headers }: IncomingMessage): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
}

/** What needs no key: probes, documents, and links to images, which may be signed and are judged where they lead. */
function isOpen({ url, query }: FastifyRequest): boolean {
  const path = url.split('?', 1)[0]!
  const isFile = /^(?:\/api\/v1)?\/images\/[^/]+\/\w+\.\w+$/.test(path)
  return OPEN.has(path) || (isFile && (query as { signature?: unknown }).signature !== undefined)
}
