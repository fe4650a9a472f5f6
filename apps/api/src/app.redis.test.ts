import { ImagesResource, imageBytesKey, imageRequestKey, knownForSeconds } from '@sdcpu/contract'
import { expect, it, onTestFinished, vi } from 'vitest'
import { type RedisProxy, startRedisProxy } from './testing/redis-proxy.ts'
import { setUp } from './testing/set-up.ts'

type Api = Awaited<ReturnType<typeof setUp>>

async function startApi(options: Parameters<typeof setUp>[1] = {}): Promise<Api> {
  const api = await setUp(process.env, options)
  onTestFinished(() => api.close())
  return api
}

async function startProxy(): Promise<RedisProxy> {
  const proxy = await startRedisProxy(process.env.TEST_REDIS_URL ?? '')
  onTestFinished(() => proxy.close())
  return proxy
}

const post = ({ app }: Api, payload: object, headers = {}) =>
  app.inject({ method: 'POST', url: '/api/v1/images', payload, headers })
const get = ({ app }: Api, url: string) => app.inject({ method: 'GET', url })

async function create(api: Api, body: object = {}): Promise<ImagesResource> {
  const answer = await post(api, { prompt: 'a red fox', size: '64x64', steps: 2, ...body })
  expect(answer.statusCode).toBe(202)
  return ImagesResource.parse(answer.json())
}

const find = async (api: Api, id: string) =>
  ImagesResource.parse((await get(api, `/api/v1/images/${id}`)).json())

it('queues one job an image and answers 202 with the request as resolved', async () => {
  const api = await startApi()
  const answer = await post(api, { prompt: ' a red fox ', n: 2, seed: 4294967295 })
  expect(answer.statusCode).toBe(202)
  const resource = ImagesResource.parse(answer.json())
  expect(answer.headers.location).toBe(`/api/v1/images/${resource.id}`)
  expect(resource).toMatchObject({
    status: 'queued',
    request: {
      model: 'demo',
      prompt: 'a red fox',
      n: 2,
      seed: 4294967295,
      size: '256x256',
      steps: 2,
      guidance: 1,
      sampler: 'euler_a',
      emphasis: false,
      format: 'png',
    },
    images: [
      { index: 0, seed: 4294967295, status: 'queued', steps: 2 },
      { index: 1, seed: 0, status: 'queued', steps: 2 },
    ],
  })
  const jobs = [await api.take(), await api.take()]
  expect(jobs.map((job) => job.id)).toEqual([`${resource.id}-0`, `${resource.id}-1`])
  expect(jobs[1]?.data).toEqual({
    version: 2,
    id: resource.id,
    index: 1,
    prompt: 'a red fox',
    seed: 0,
    width: 256,
    height: 256,
    steps: 2,
    guidance: 1,
    sampler: 'euler_a',
    emphasis: false,
    format: 'png',
    requestId: answer.headers['x-request-id'],
  })
})

it('draws a seed that was left out and reports it', async () => {
  const api = await startApi()
  const [first, second] = [await create(api), await create(api)]
  expect(first.request.seed).toBe(first.images[0]?.seed)
  expect(first.request.seed).not.toBe(second.request.seed)
  expect((await api.take()).data.seed).toBe(first.request.seed)
})

it('keeps the record of a request for longer than its bytes, and not for ever', async () => {
  const api = await startApi()
  const { id } = await create(api)
  const ttl = await api.redis.ttl(imageRequestKey(api.prefix, id))
  expect(ttl).toBeGreaterThan(100)
  expect(ttl).toBeLessThanOrEqual(knownForSeconds(100))
})

it('asks for patience while no worker has announced a model', async () => {
  const api = await startApi({ isAnnounced: false })
  const answer = await post(api, { prompt: 'a red fox', size: '64x64', steps: 2 })
  expect(answer.statusCode).toBe(503)
  expect(answer.headers['retry-after']).toBe('5')
  expect(answer.json()).toMatchObject({ error: { code: 'model_not_ready' } })
  await api.announce()
  await create(api)
})

it('follows an image from queued to succeeded, step by step', async () => {
  const api = await startApi()
  const { id } = await create(api)
  expect(await find(api, id)).toMatchObject({ status: 'queued', images: [{ status: 'queued' }] })

  const job = await api.take()
  expect(await find(api, id)).toMatchObject({ status: 'queued' }) // held, not begun
  await job.updateProgress({ begun: 1, step: 1 })
  expect(await find(api, id)).toMatchObject({
    status: 'running',
    images: [{ status: 'running', step: 1, steps: 2 }],
  })

  await api.succeed(job)
  expect(await find(api, id)).toMatchObject({
    status: 'succeeded',
    images: [
      {
        status: 'succeeded',
        url: `/api/v1/images/${id}/0.png`,
        width: 64,
        height: 64,
        timingsMs: { encodePrompts: 1, steps: [2, 3], decode: 4, encodePng: 5 },
      },
    ],
  })
})

it('says each image’s own status, and is running until all are done', async () => {
  const api = await startApi()
  const { id } = await create(api, { n: 2 })
  await api.succeed(await api.take())
  const resource = await find(api, id)
  expect(resource.status).toBe('running')
  expect(resource.images.map(({ status }) => status)).toEqual(['succeeded', 'queued'])
})

it('fails with a code and a plain message after the second attempt', async () => {
  const api = await startApi()
  const { id } = await create(api)
  await api.fail(await api.take(), 'generation_failed')
  expect((await find(api, id)).status).toBe('queued')
  await api.fail(await api.take(), 'generation_failed')
  expect(await find(api, id)).toMatchObject({
    status: 'failed',
    images: [
      {
        status: 'failed',
        error: {
          code: 'generation_failed',
          message: 'The image could not be drawn. The same request may succeed another time.',
        },
      },
    ],
  })
  expect((await get(api, `/api/v1/images/${id}/0.png`)).json()).toMatchObject({
    error: { code: 'image_not_found' },
  })
})

it('never shows a reason for failure that is not one of our codes', async () => {
  const api = await startApi()
  const { id } = await create(api)
  for (let attempt = 0; attempt < 2; attempt++) await api.fail(await api.take(), 'ENOENT /secret/path')
  const answer = await get(api, `/api/v1/images/${id}`)
  expect(answer.json().images[0].error.code).toBe('generation_failed')
  expect(answer.body).not.toContain('secret')
})

it('serves the bytes as a PNG that never changes', async () => {
  const api = await startApi()
  const { id } = await create(api)
  const bytes = String.fromCharCode(0x89, 0x50, 0, 0xff)
  await api.succeed(await api.take(), bytes)
  const answer = await get(api, `/api/v1/images/${id}/0.png`)
  expect(answer.statusCode).toBe(200)
  expect(answer.rawPayload).toEqual(Buffer.from(bytes))
  expect(answer.headers).toMatchObject({
    'content-type': 'image/png',
    'cache-control': 'public, max-age=31536000, immutable',
    etag: `"${id}-0"`,
  })
})

it('answers 404 with image_not_ready while an image is not drawn', async () => {
  const api = await startApi()
  const { id } = await create(api)
  const answer = await get(api, `/api/v1/images/${id}/0.png`)
  expect(answer.statusCode).toBe(404)
  expect(answer.json()).toMatchObject({
    error: { code: 'image_not_ready', message: `image 0 of ${id} is queued` },
  })
})

it('answers 410 once the bytes have expired, and the request no longer offers them', async () => {
  const api = await startApi()
  const { id } = await create(api)
  await api.succeed(await api.take())
  await api.redis.del(imageBytesKey(api.prefix, id, 0))
  const answer = await get(api, `/api/v1/images/${id}/0.png`)
  expect(answer.statusCode).toBe(410)
  expect(answer.json()).toMatchObject({
    error: { code: 'expired', message: `image 0 of ${id} is gone; images are kept for 100 seconds` },
  })
  const resource = await find(api, id)
  expect(resource.status).toBe('succeeded')
  expect(resource.images[0]).not.toHaveProperty('url')
})

it('says of an image whose job is gone that nothing is known any more', async () => {
  const api = await startApi()
  const { id } = await create(api)
  const job = await api.take()
  await api.succeed(job)
  await job.remove()
  expect(await find(api, id)).toMatchObject({ images: [{ status: 'failed', error: { code: 'expired' } }] })
})

it.each([
  ['/api/v1/images/unknown', 404, 'image_not_found'],
  ['/api/v1/images/unknown/0.png', 404, 'image_not_found'],
  ['/api/v1/images/unknown/0.gif', 404, 'not_found'],
  ['/api/v1/images', 400, 'invalid_request'],
  ['/api/v1/images/%', 400, 'invalid_request'],
  [`/api/v1/images/${'x'.repeat(200)}`, 400, 'invalid_request'],
])('answers GET %s with %i %s', async (url, status, code) => {
  const api = await startApi()
  const answer = await get(api, url)
  expect(answer.statusCode).toBe(status)
  expect(answer.json()).toEqual({
    error: { code, message: expect.any(String), requestId: answer.headers['x-request-id'] },
  })
})

it('knows how many images a request has', async () => {
  const api = await startApi()
  const { id } = await create(api)
  const answer = await get(api, `/api/v1/images/${id}/1.png`)
  expect(answer.json()).toMatchObject({
    error: { code: 'image_not_found', message: `there is no image 1 in ${id}; it has 1` },
  })
})

it('refuses a bad request with the numbers, and queues nothing', async () => {
  const api = await startApi()
  const answer = await post(api, { prompt: 'x'.repeat(2203), steps: 80, cfg: 7 })
  expect(answer.statusCode).toBe(400)
  expect(answer.json()).toMatchObject({
    error: {
      code: 'invalid_request',
      message:
        'prompt is 2203 characters; the limit is 2000; steps is 80; the limit is 50; unknown field "cfg"',
    },
  })
  await expect(api.take()).rejects.toThrow('no job waits')
})

it.each([
  ['application/json', '{"prompt":', 400, 'invalid_request'],
  ['application/json', '', 400, 'invalid_request'],
  ['application/json', '[]', 400, 'invalid_request'],
  ['application/json', `{"prompt":"${'x'.repeat(66_000)}"}`, 413, 'payload_too_large'],
  ['text/plain', 'a red fox', 415, 'unsupported_media_type'],
])('refuses a body of %s %s with %i %s', async (type, payload, status, code) => {
  const api = await startApi()
  const answer = await api.app.inject({
    method: 'POST',
    url: '/api/v1/images',
    headers: { 'content-type': type },
    payload,
  })
  expect([answer.statusCode, answer.json().error.code]).toEqual([status, code])
})

it('takes the longest prompts there may be, however they are escaped', async () => {
  const api = await startApi()
  const escaped = '\\ud83e\\udd8a'.repeat(2000)
  const answer = await api.app.inject({
    method: 'POST',
    url: '/api/v1/images',
    headers: { 'content-type': 'application/json' },
    payload: `{"prompt":"${escaped}","negativePrompt":"${escaped}","size":"64x64","steps":1}`,
  })
  expect(answer.statusCode).toBe(202)
})

it('carries the caller’s request id, or one of its own where that is no id', async () => {
  const api = await startApi()
  const body = { prompt: '' }
  const given = await post(api, body, { 'x-request-id': 'trace-7' })
  expect(given.headers['x-request-id']).toBe('trace-7')
  expect(given.json().error.requestId).toBe('trace-7')
  const odd = await post(api, body, { 'x-request-id': 'a\tb c' })
  expect(odd.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
})

it('refuses with 429 and Retry-After past the limit, and takes more once there is room', async () => {
  const api = await startApi({ queueLimit: 8 })
  await create(api, { n: 6 })
  const answer = await post(api, { prompt: 'x', n: 3, size: '64x64', steps: 2 })
  expect(answer.statusCode).toBe(429)
  expect(answer.headers['retry-after']).toBe('10')
  expect(answer.json()).toMatchObject({
    error: {
      code: 'queue_full',
      message: '6 images are waiting and the limit is 8; there is no room for 3 more',
    },
  })
  await create(api, { n: 2 })
  await api.take()
  await create(api)
})

it('is healthy and ready', async () => {
  const api = await startApi()
  expect((await get(api, '/healthz')).json()).toEqual({ status: 'ok' })
  expect((await get(api, '/readyz')).json()).toEqual({ status: 'ready' })
})

const unavailable = {
  error: {
    code: 'unavailable',
    message: 'The service cannot reach its queue at the moment. Try again shortly.',
  },
}

async function expectUnavailable(api: Api, id: string, withinMs: number): Promise<void> {
  const askedAt = performance.now()
  const answers = await Promise.all([
    post(api, { prompt: 'x', size: '64x64', steps: 1 }),
    get(api, `/api/v1/images/${id}`),
    get(api, `/api/v1/images/${id}/0.png`),
    get(api, '/readyz'),
  ])
  expect(performance.now() - askedAt).toBeLessThan(withinMs)
  for (const answer of answers) {
    expect(answer.statusCode).toBe(503)
    expect(answer.headers['retry-after']).toBe('2')
    expect(answer.json()).toMatchObject(unavailable)
  }
  expect((await get(api, '/healthz')).statusCode).toBe(200)
}

it('answers 503 at once while Redis is away, and recovers by itself', async () => {
  const proxy = await startProxy()
  const api = await startApi({ url: proxy.url })
  await vi.waitFor(async () => expect((await get(api, '/readyz')).statusCode).toBe(200), 10_000)
  const { id } = await create(api)
  proxy.cut()
  await expectUnavailable(api, id, 2000)
  proxy.restore()
  await vi.waitFor(async () => expect((await get(api, '/readyz')).statusCode).toBe(200), 10_000)
  expect((await find(api, id)).id).toBe(id)
})

it('answers 503 when Redis was never there, and works once it is', async () => {
  const proxy = await startProxy()
  proxy.cut()
  const api = await startApi({ url: proxy.url })
  await expectUnavailable(api, 'any', 2000)
  proxy.restore()
  await vi.waitFor(async () => expect((await get(api, '/readyz')).statusCode).toBe(200), 10_000)
  await create(api)
})

it('answers 503 in a few seconds when Redis keeps the connection and says nothing', async () => {
  const proxy = await startProxy()
  const api = await startApi({ url: proxy.url })
  await vi.waitFor(async () => expect((await get(api, '/readyz')).statusCode).toBe(200), 10_000)
  proxy.freeze()
  await expectUnavailable(api, 'any', 5000)
})
