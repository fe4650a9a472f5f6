import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Redis } from 'ioredis'
import { type ApiError, toApiError } from '../api-error.ts'
import type { Caller } from '../caller.ts'
import type { DrawImages } from '../draw-images.ts'
import type { Images } from '../images.ts'
import type { Models } from '../models.ts'
import type { ZodApp } from '../zod-app.ts'
import { toA1111Error } from './a1111-error.ts'
import { createCheckpoint } from './checkpoint.ts'
import { addControlRoutes } from './control-routes.ts'
import { addGenerationRoutes } from './generation-routes.ts'
import { addListingRoutes } from './listing-routes.ts'
import { createTasks } from './tasks.ts'

/** Adds AUTOMATIC1111's API, under `/sdapi/v1` and `/internal`, with its own shape of errors. */
export function addA1111Routes(
  app: ZodApp,
  deps: {
    redis: Redis
    prefix: string
    images: Images
    models: Models
    draw: DrawImages
    callerOf: (request: FastifyRequest) => Caller
    /** Takes note of what was thrown, and sets the headers of its answer. */
    beginRefusal: (thrown: unknown, request: FastifyRequest, reply: FastifyReply) => ApiError
    closing: AbortSignal
    logPrompts: boolean
    holdMs: number
    heartbeatMs: number
  },
): void {
  const { redis, prefix, models, beginRefusal } = deps
  const tasks = createTasks({ redis, prefix })
  const checkpoint = createCheckpoint({ redis, prefix, models })
  void app.register(async (scope) => {
    acceptEmptyJson(scope)
    scope.setErrorHandler((thrown, request, reply) => {
      const { status, body } = toA1111Error(beginRefusal(thrown, request, reply))
      return reply.code(status).send(body)
    })
    addGenerationRoutes(scope, { ...deps, tasks, checkpoint, toErrorBody })
    addControlRoutes(scope, { ...deps, tasks })
    addListingRoutes(scope, { ...deps, checkpoint })
  })
}

/** Reads a body that says it is JSON and is empty as none: scripts send `interrupt` so. */
function acceptEmptyJson(scope: ZodApp): void {
  const parse = scope.getDefaultJsonParser('error', 'error')
  scope.removeContentTypeParser('application/json')
  scope.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text, done) => {
    if (text === '') done(null, undefined)
    else void parse(request, text as string, done)
  })
}

function toErrorBody(thrown: unknown, request: FastifyRequest): unknown {
  const error = toApiError(thrown, { bodyLimit: request.routeOptions.bodyLimit })
  request.log.warn({ err: error, code: error.code }, 'an answer that had begun ended with an error')
  return toA1111Error(error).body
}
