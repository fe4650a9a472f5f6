import { workerKey, workersKey } from '@sdcpu/contract'
import { expect, it, onTestFinished } from 'vitest'
import { setUp } from './testing/set-up.ts'

async function startApi() {
  const api = await setUp(process.env)
  onTestFinished(() => api.close())
  return api
}

it('documents every route of the API, and no other', async () => {
  const { app } = await startApi()
  const { openapi, paths } = (await app.inject('/openapi.json')).json()
  expect(openapi).toBe('3.1.0')
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods as object).map((method) => `${method} ${path}`),
  )
  expect(operations.sort()).toEqual([
    'delete /api/v1/images/{id}',
    'get /api/v1/images',
    'get /api/v1/images/{id}',
    'get /api/v1/images/{id}/events',
    'get /api/v1/images/{id}/{index}.{extension}',
    'get /api/v1/models',
    'get /api/v1/scaling',
    'get /api/v1/system',
    'get /images/{id}/{file}',
    'get /internal/pendingTasks',
    'get /internal/progress',
    'get /sdapi/v1/cmd-flags',
    'get /sdapi/v1/embeddings',
    'get /sdapi/v1/latent-upscale-modes',
    'get /sdapi/v1/loras',
    'get /sdapi/v1/memory',
    'get /sdapi/v1/options',
    'get /sdapi/v1/progress',
    'get /sdapi/v1/samplers',
    'get /sdapi/v1/schedulers',
    'get /sdapi/v1/sd-models',
    'get /sdapi/v1/sd-modules',
    'get /sdapi/v1/sd-vae',
    'get /sdapi/v1/upscalers',
    'get /v1/models',
    'get /v1/models/{name}',
    'get /v1/models/{owner}/{name}',
    'post /api/text2image',
    'post /api/v1/images',
    'post /api/v1/images/{id}/cancel',
    'post /internal/progress',
    'post /sdapi/v1/img2img',
    'post /sdapi/v1/interrupt',
    'post /sdapi/v1/options',
    'post /sdapi/v1/png-info',
    'post /sdapi/v1/skip',
    'post /sdapi/v1/txt2img',
    'post /v1/images/edits',
    'post /v1/images/generations',
  ])
})

it('tells the media types of bodies and answers that are not JSON alone', async () => {
  const { app } = await startApi()
  const { paths, components } = (await app.inject('/openapi.json')).json()
  const edits = paths['/v1/images/edits'].post
  expect(edits.requestBody.content).toEqual({
    'multipart/form-data': { schema: { $ref: '#/components/schemas/OpenAiEditImages' } },
  })
  expect(components.schemas.OpenAiEditImages.properties.image).toMatchObject({
    type: 'string',
    format: 'binary',
  })
  expect(edits.responses['200'].content).toEqual({
    'application/json': { schema: { $ref: '#/components/schemas/OpenAiImages' } },
    'text/event-stream': {},
  })
})

it('gives what the schemas say: limits, defaults, who is required, and where to find a shape', async () => {
  const { app } = await startApi()
  const { paths, components } = (await app.inject('/openapi.json')).json()
  const { CreateImages, ImagesResource, ErrorBody } = components.schemas
  expect(CreateImages).toMatchObject({ required: ['prompt'], additionalProperties: false })
  expect(CreateImages.properties.n).toMatchObject({ type: 'integer', minimum: 1, maximum: 8, default: 1 })
  expect(ImagesResource.properties.images.items).toEqual({ $ref: '#/components/schemas/Image' })
  expect(ErrorBody.required).toEqual(['error'])
  const post = paths['/api/v1/images'].post
  expect(post.requestBody.content['application/json'].schema).toEqual({
    $ref: '#/components/schemas/CreateImages',
  })
  expect(Object.keys(post.responses)).toEqual(['200', '202', '4XX', '5XX'])
  expect(post.security).toEqual([{}, { apiKey: [] }, { apiKeyHeader: [] }, { apiKeyAsPassword: [] }])
  expect(Object.keys(components.securitySchemes)).toEqual(['apiKey', 'apiKeyHeader', 'apiKeyAsPassword'])
  const list = paths['/api/v1/images'].get.parameters
  expect(list).toContainEqual(
    expect.objectContaining({
      name: 'limit',
      in: 'query',
      required: false,
      schema: expect.objectContaining({ type: 'integer', maximum: 100 }),
    }),
  )
  for (const [, name] of JSON.stringify(paths).matchAll(/#\/components\/schemas\/(\w+)/g))
    expect(Object.keys(components.schemas)).toContain(name)
})

it('shows the same as a page that needs nothing from elsewhere', async () => {
  const { app } = await startApi()
  const page = await app.inject('/docs')
  expect(page.headers['content-type']).toBe('text/html; charset=utf-8')
  expect(page.headers['content-security-policy']).toContain("default-src 'none'")
  expect(page.body).toContain('<code>POST /api/v1/images</code>')
  expect(page.body).not.toMatch(/<script|https?:\/\//)
  for (const [, link] of page.body.matchAll(/(?:href|src)="([^#"]+)"/g))
    expect((await app.inject(new URL(link!, 'http://x/docs').pathname)).statusCode).toBe(200)
  const ids = new Set([...page.body.matchAll(/id="([^"]+)"/g)].map(([, id]) => id))
  for (const [, target] of page.body.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(target)
})

it('tells the workers alive, how busy they are and what they run on', async () => {
  const { app, announce, redis, prefix } = await startApi()
  const system = async () => (await app.inject('/api/v1/system')).json()
  const idle = {
    ...{ name: 'demo', plan: 'fp32', isDefault: true },
    queue: { waiting: 0, limit: 100, active: 0, isPaused: false },
    workers: [],
    imagesPerMinute: 0,
  }
  expect(await system()).toEqual({ models: [idle] })
  const worker = {
    id: 'w1',
    startedAt: '2026-01-01T00:00:00.000Z',
    plan: 'int8',
    threads: 8,
    batchMaxSize: 4,
    cpu: { model: 'a CPU', features: ['avx512_vnni'] },
    rssBytes: 1e9,
    imagesPerMinute: 2.5,
  }
  await announce({ name: 'other' })
  await redis.sadd(workersKey(prefix, 'demo'), 'w1', 'w2')
  await redis.set(workerKey(prefix, 'demo', 'w1'), JSON.stringify(worker))
  const payload = { prompt: 'a fox', n: 3, model: 'demo' }
  await app.inject({ method: 'POST', url: '/api/v1/images', payload })
  expect(await system()).toMatchObject({
    models: [
      { queue: { waiting: 3 }, workers: [worker], imagesPerMinute: 2.5 },
      { name: 'other', workers: [] },
    ],
  })
  expect(await redis.smembers(workersKey(prefix, 'demo'))).toEqual(['w1']) // w2 has died
})
