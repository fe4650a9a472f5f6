import { randomUUID } from 'node:crypto'
import type { ErrorBody, ErrorCode } from '@sdcpu/contract'
import fastify, { type FastifyInstance, LogController } from 'fastify'
import type { Redis } from 'ioredis'
import { redisAnswers } from './redis.ts'

/**
 * Builds the app that answers probes; its logger is the worker's.
 * `waitingFor` says what keeps the worker from drawing, or nothing once it can.
 */
export function buildHealth({
  redis,
  waitingFor,
  logLevel,
}: {
  redis: Redis
  waitingFor: () => string | undefined
  logLevel: string
}): FastifyInstance {
  const app = fastify({
    logger: { level: logLevel },
    logController: new LogController({ disableRequestLogging: true }), // probes come every few seconds
    genReqId: () => randomUUID(),
  })

  app.get('/healthz', async () => ({ status: 'ok' }))

  app.get('/readyz', async (request, reply) => {
    const fault = await findFault()
    if (!fault) return { status: 'ready' }
    const body: ErrorBody = { error: { ...fault, requestId: request.id } }
    return reply.code(503).header('retry-after', '1').send(body)
  })

  async function findFault(): Promise<{ code: ErrorCode; message: string } | undefined> {
    const work = waitingFor()
    if (work) return { code: 'model_not_ready', message: work }
    if (!(await redisAnswers(redis))) return { code: 'unavailable', message: 'Redis does not answer' }
  }

  return app
}
