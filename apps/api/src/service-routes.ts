import { ErrorBody, ScalingResource, SystemResource } from '@sdcpu/contract'
import type { RouteOptions } from 'fastify'
import { DOCS_STYLE, renderDocs } from './docs-page.ts'
import { buildOpenApi } from './openapi.ts'
import type { System } from './system.ts'
import type { ZodApp } from './zod-app.ts'

const DOCS_HEADERS = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
}

/** Adds what tells about the service itself: `/api/v1/system`, and the documents of the routes in `routes`. */
export function addServiceRoutes(
  app: ZodApp,
  { system, routes }: { system: System; routes: RouteOptions[] },
) {
  app.get('/api/v1/system', {
    schema: { response: { 200: SystemResource, '4xx': ErrorBody, '5xx': ErrorBody } },
    handler: async (_, reply) => reply.header('cache-control', 'no-store').send(await system.describe()),
  })

  app.get('/api/v1/scaling', {
    schema: { response: { 200: ScalingResource, '4xx': ErrorBody, '5xx': ErrorBody } },
    handler: async (_, reply) => {
      const models = (await system.describe()).models.map(({ name, queue, workers }) => ({
        name,
        backlog: queue.isPaused ? 0 : queue.waiting + queue.active,
        workers: workers.length,
      }))
      const backlog = models.reduce((sum, model) => sum + model.backlog, 0)
      return reply.header('cache-control', 'no-store').send({ backlog, models })
    },
  })

  app.get('/openapi.json', async () => buildOpenApi(routes))
  app.get('/docs', async (_, reply) =>
    reply
      .headers(DOCS_HEADERS)
      .type('text/html; charset=utf-8')
      .send(renderDocs(buildOpenApi(routes))),
  )
  app.get('/docs/style.css', async (_, reply) => reply.type('text/css; charset=utf-8').send(DOCS_STYLE))
}
