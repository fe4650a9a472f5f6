import { ErrorBody, ModelsList } from '@sdcpu/contract'
import type { Models } from './models.ts'
import type { ZodApp } from './zod-app.ts'

/** Adds the native route that lists models. */
export function addModelRoutes(app: ZodApp, models: Models): void {
  app.get('/api/v1/models', {
    schema: { response: { 200: ModelsList, '4xx': ErrorBody, '5xx': ErrorBody } },
    handler: async (_request, reply) =>
      reply.header('cache-control', 'no-store').send({ models: await models.list() }),
  })
}
