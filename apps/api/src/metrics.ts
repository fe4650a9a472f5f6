import type { ErrorCode } from '@sdcpu/contract'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Models } from './models.ts'
import type { Queues } from './queues.ts'
import { findWorkers, type WorkerSource } from './system.ts'

// Routes that answer when something is drawn.
const WAITING = /\/events$|^\/mcp$|^\/sdapi\/v1\/(?:txt2img|img2img)$|^\/api\/text2image$|^\/v1\/images\//

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

export type Metrics = {
  imagesRequested: Counter<'model'>
  imagesCanceled: Counter<'model'>
}

/**
 * Counts what the API does and adds `/metrics`, which also tells of the queues. Routes are named by their patterns:
 * ids would make a series each.
 */
export function addMetrics(
  app: FastifyInstance,
  {
    models,
    queues,
    workers,
    codeOf,
  }: {
    models: Models
    queues: Queues
    workers: WorkerSource
    codeOf: (request: FastifyRequest) => ErrorCode | undefined
  },
): Metrics {
  const registry = new Registry()
  const own = { registers: [registry] }
  collectDefaultMetrics({ register: registry })
  const requestSeconds = new Histogram({
    ...own,
    name: 'sd_http_request_duration_seconds',
    help: 'Time to answer a request; event streams, MCP and requests that wait for images are left out',
    labelNames: ['method', 'route'],
    buckets: SECONDS,
  })
  const answers = new Counter({
    ...own,
    name: 'sd_http_responses_total',
    help: 'Answers by route, status and error code',
    labelNames: ['method', 'route', 'status', 'code'],
  })
  const depth = new Gauge({
    ...own,
    name: 'sd_queue_images',
    help: 'Images in the queue: those that wait, and those that a worker holds',
    labelNames: ['model', 'state'],
  })
  const age = new Gauge({
    ...own,
    name: 'sd_queue_oldest_seconds',
    help: 'How long the oldest image that waits has waited',
    labelNames: ['model'],
  })
  const paused = new Gauge({
    ...own,
    name: 'sd_queue_paused',
    help: '1 while an operator has paused the queue',
    labelNames: ['model'],
  })
  const alive = new Gauge({ ...own, name: 'sd_workers', help: 'Workers alive', labelNames: ['model'] })

  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none'
    const labels = { method: request.method, route }
    answers.inc({ ...labels, status: reply.statusCode, code: codeOf(request) ?? '' })
    const isLong = WAITING.test(route) || reply.hasHeader('preference-applied')
    if (!isLong) requestSeconds.observe(labels, reply.elapsedTime / 1000)
  })

  async function readQueues(): Promise<void> {
    for (const gauge of [depth, age, paused, alive]) gauge.reset()
    for (const { name: model } of await models.list()) {
      const queue = queues(model)
      const counts = await queue.getJobCounts('waiting', 'prioritized', 'active')
      depth.set({ model, state: 'waiting' }, (counts.waiting ?? 0) + (counts.prioritized ?? 0))
      depth.set({ model, state: 'active' }, counts.active ?? 0)
      const waiting = await queue.getJobs(['waiting', 'prioritized'], 0, 0, true)
      const oldest = Math.min(...waiting.map(({ timestamp }) => timestamp))
      age.set({ model }, waiting.length > 0 ? Math.max(0, Date.now() - oldest) / 1000 : 0)
      paused.set({ model }, (await queue.isPaused()) ? 1 : 0)
      alive.set({ model }, (await findWorkers(workers.redis, { prefix: workers.prefix, model })).length)
    }
  }

  app.get('/metrics', async (request, reply) => {
    // What the API itself has counted can be told without Redis.
    await readQueues().catch((err) => request.log.warn({ err }, 'no metrics of the queues'))
    return reply.type(registry.contentType).send(await registry.metrics())
  })

  return {
    imagesRequested: new Counter({
      ...own,
      name: 'sd_images_requested_total',
      help: 'Images that were accepted',
      labelNames: ['model'],
    }),
    imagesCanceled: new Counter({
      ...own,
      name: 'sd_images_canceled_total',
      help: 'Images that a caller canceled before they were drawn',
      labelNames: ['model'],
    }),
  }
}
