import { totalmem } from 'node:os'
import { InputImage, MAX_INPUT_CHARACTERS } from '@sdcpu/contract'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Caller } from '../caller.ts'
import { BODY_LIMIT_BYTES } from '../image-routes.ts'
import { readInputImage } from '../input-image.ts'
import type { Models } from '../models.ts'
import type { ZodApp } from '../zod-app.ts'
import { A1111_ERRORS } from './a1111-error.ts'
import type { Checkpoint } from './checkpoint.ts'
import { parseInfotext } from './infotext.ts'
import { listSamplers, SCHEDULES } from './pick-sampler.ts'
import { readPictureText } from './picture-text.ts'

// Without `forge_preset`, by which SillyTavern tells Forge, which is spoken to in another way.
const OPTIONS = {
  samples_format: 'png',
  samples_save: false,
  sd_vae: 'Automatic',
  CLIP_stop_at_last_layers: 1,
  emphasis: 'Original',
  randn_source: 'CPU',
}
const Options = z
  .looseObject({ sd_model_checkpoint: z.string().nullish().describe('Title of the model to draw with') })
  .meta({ id: 'A1111Options' })

const SdModel = z.object({
  title: z.string(),
  model_name: z.string(),
  hash: z.null(),
  sha256: z.null(),
  filename: z.string(),
  config: z.null(),
})
const Sampler = z.object({
  name: z.string(),
  aliases: z.array(z.string()),
  options: z.record(z.string(), z.string()),
})
const Scheduler = z.object({
  name: z.string(),
  label: z.string(),
  aliases: z.array(z.string()),
  default_rho: z.number(),
  need_inner_model: z.boolean(),
})
const Upscaler = z.object({
  name: z.string(),
  model_name: z.null(),
  model_path: z.null(),
  model_url: z.null(),
  scale: z.number(),
})
const Vae = z.object({ model_name: z.string(), filename: z.string() })
const PngInfo = z.object({
  info: z.string(),
  items: z.record(z.string(), z.string()),
  parameters: z.record(z.string(), z.string()),
})
const Memory = z.object({
  ram: z.object({ free: z.number(), used: z.number(), total: z.number() }),
  cuda: z.object({ error: z.string() }),
})

/** Adds the options, and what clients fill their menus with. */
export function addListingRoutes(
  app: ZodApp,
  {
    models,
    checkpoint,
    callerOf,
  }: { models: Models; checkpoint: Checkpoint; callerOf: (request: FastifyRequest) => Caller },
): void {
  /** Adds a list that is the same for everybody. */
  const addList = <Item extends z.ZodType>(name: string, item: Item, list: () => z.input<Item>) =>
    app.get(`/sdapi/v1/${name}`, {
      schema: { response: { 200: item as z.ZodType, ...A1111_ERRORS } },
      handler: async () => list(),
    })

  app.get('/sdapi/v1/options', {
    schema: { response: { 200: Options, ...A1111_ERRORS } },
    handler: async (request, reply) => {
      const { name } = await checkpoint.of(callerOf(request))
      return reply.header('cache-control', 'no-store').send({ ...OPTIONS, sd_model_checkpoint: name })
    },
  })

  app.post('/sdapi/v1/options', {
    schema: { body: Options, response: { 200: z.null(), ...A1111_ERRORS } },
    handler: async (request, reply) => {
      const { sd_model_checkpoint: title } = request.body
      if (title) await checkpoint.choose(callerOf(request), title)
      return reply.type('application/json; charset=utf-8').send('null' as never)
    },
  })

  app.get('/sdapi/v1/sd-models', {
    schema: { response: { 200: z.array(SdModel), ...A1111_ERRORS } },
    handler: async () => {
      const known = { hash: null, sha256: null, config: null }
      return (await models.list()).map(({ name }) => ({
        ...{ title: name, model_name: name, filename: name },
        ...known,
      }))
    },
  })

  app.get('/sdapi/v1/samplers', {
    schema: { response: { 200: z.array(Sampler), ...A1111_ERRORS } },
    handler: async (request) => listSamplers(await checkpoint.of(callerOf(request))),
  })

  addList('schedulers', z.array(Scheduler), () =>
    Object.entries(SCHEDULES).map(([name, { label, aliases }]) => ({
      ...{ name, label, aliases: [...aliases], default_rho: name === 'karras' ? 7 : -1 },
      need_inner_model: name !== 'automatic' && name !== 'karras',
    })),
  )
  // SillyTavern puts the latent modes behind the first, which is why it is there.
  addList('upscalers', z.array(Upscaler), () => [
    { name: 'None', model_name: null, model_path: null, model_url: null, scale: 4 },
  ])
  addList('latent-upscale-modes', z.array(z.object({ name: z.string() })), () => [{ name: 'Latent' }])
  addList('sd-vae', z.array(Vae), () => [])
  addList('sd-modules', z.array(Vae), () => [])
  addList('loras', z.array(z.unknown()), () => [])
  addList('embeddings', z.object({ loaded: z.object({}), skipped: z.object({}) }), () => ({
    loaded: {},
    skipped: {},
  }))
  addList('cmd-flags', z.record(z.string(), z.unknown()), () => ({
    api: true,
    listen: true,
    use_cpu: ['all'],
    skip_torch_cuda_test: true,
  }))
  addList('memory', Memory, describeMemory)

  app.post('/sdapi/v1/png-info', {
    bodyLimit: BODY_LIMIT_BYTES + MAX_INPUT_CHARACTERS,
    schema: { body: z.object({ image: InputImage }), response: { 200: PngInfo, ...A1111_ERRORS } },
    handler: async ({ body }) => {
      const items = await readPictureText((await readInputImage(body.image)).bytes)
      const info = items.parameters ?? ''
      return { info, items, parameters: info === '' ? {} : parseInfotext(info) }
    },
  })
}

/** Memory of the API; that of the workers, which the models take, is told by `/api/v1/system`. */
function describeMemory(): z.infer<typeof Memory> {
  const used = process.memoryUsage.rss()
  const total = process.constrainedMemory() || totalmem()
  return { ram: { free: Math.max(0, total - used), used, total }, cuda: { error: 'unavailable' } }
}
