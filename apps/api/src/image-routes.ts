import { CreateImages, ErrorBody, ImagesResource, MAX_INPUT_CHARACTERS } from '@sdcpu/contract'
import { z } from 'zod'
import type { Images } from './images.ts'
import type { ZodApp } from './zod-app.ts'

/** Two prompts of 2000 characters, each escaped as two \uXXXX, and the rest but for an image to begin with. */
export const BODY_LIMIT_BYTES = 64 * 1024

const errors = { '4xx': ErrorBody, '5xx': ErrorBody }

// An id we never made is answered like one we forgot.
const Params = z.object({ id: z.string(), index: z.coerce.number().int() })
const IdParams = Params.pick({ id: true })

/** Adds the native routes under `/api/v1/images`. */
export function addImageRoutes(app: ZodApp, images: Images): void {
  app.post('/api/v1/images', {
    bodyLimit: BODY_LIMIT_BYTES + MAX_INPUT_CHARACTERS,
    schema: { body: CreateImages, response: { 202: ImagesResource, ...errors } },
    handler: async (request, reply) => {
      const resource = await images.create(request.body)
      return reply.code(202).header('location', `/api/v1/images/${resource.id}`).send(resource)
    },
  })

  app.get('/api/v1/images/:id', {
    schema: { params: IdParams, response: { 200: ImagesResource, ...errors } },
    handler: async (request, reply) => {
      const resource = await images.find(request.params.id)
      return reply.header('cache-control', 'no-store').send(resource)
    },
  })

  app.get('/api/v1/images/:id/:index(^\\d+).png', {
    schema: { params: Params },
    handler: async (request, reply) => {
      const { id, index } = request.params
      const bytes = await images.readBytes(id, index)
      // An id and an index are drawn from one seed, once: they never get other bytes.
      reply.header('cache-control', 'public, max-age=31536000, immutable').header('etag', `"${id}-${index}"`)
      return reply.type('image/png').send(bytes)
    },
  })
}
