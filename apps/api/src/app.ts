import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { ErrorBody } from '@sdcpu/contract'
import fastify, { type FastifyReply, type FastifyRequest, LogController } from 'fastify'
import type { Redis } from 'ioredis'
import { ApiError, publicMessage, statusOf, toApiError } from './api-error.ts'
import type { ApiConfig } from './config.ts'
import { addImageRoutes } from './image-routes.ts'
import { createImages } from './images.ts'
import { addModelRoutes } from './model-routes.ts'
import { createModels } from './models.ts'
import type { Queues } from './queues.ts'
import { reply as replyOf } from './redis.ts'
import { withZod, type ZodApp } from './zod-app.ts'

const BODY_LIMIT_BYTES = 64 * 1024 // two prompts of 2000 characters, each escaped as two \uXXXX, and the rest
const REQUEST_ID = /^[\w.:-]{1,100}$/ // a caller's own id goes into logs and headers

/** Builds the API; `main.ts` makes it listen, tests inject. */
export function buildApp({
  redis,
  queues,
  config,
}: {
  redis: Redis
  queues: Queues
  config: Pick<ApiConfig, 'MODEL_NAME' | 'REDIS_PREFIX' | 'QUEUE_LIMIT' | 'RESULT_TTL_SECONDS' | 'LOG_LEVEL'>
}): ZodApp {
  const app = withZod(
    fastify({
      logger: { level: config.LOG_LEVEL },
      logController: new LogController({ disableRequestLogging: true }), // one line of our own instead of two
      bodyLimit: BODY_LIMIT_BYTES,
      genReqId: requestIdOf,
      return503OnClosing: false, // what arrives while draining is served: Redis is closed after
      frameworkErrors: (error, request, reply) => refuse(error, request, reply),
    }),
  )
  const errors = new WeakMap<FastifyRequest, ApiError>()

  function refuse(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const error = toApiError(thrown)
    errors.set(request, error)
    const body: ErrorBody = {
      error: { code: error.code, message: publicMessage(error), requestId: request.id },
    }
    if (error.retryAfterSeconds !== undefined) reply.header('retry-after', error.retryAfterSeconds)
    return reply.code(statusOf(error.code)).header('x-request-id', request.id).send(body)
  }

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
  const models = createModels({
    redis,
    prefix: config.REDIS_PREFIX,
    defaultName: config.MODEL_NAME,
  })
  addModelRoutes(app, models)
  addImageRoutes(
    app,
    createImages({
      redis,
      queues,
      models,
      prefix: config.REDIS_PREFIX,
      queueLimit: config.QUEUE_LIMIT,
      resultTtlSeconds: config.RESULT_TTL_SECONDS,
    }),
  )
  return app
}

function requestIdOf({ headers }: IncomingMessage): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
}
