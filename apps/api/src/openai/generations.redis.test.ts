import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ImagesResource, workerKey, workersKey } from '@sdcpu/contract'
import sharp from 'sharp'
import { expect, it, onTestFinished, vi } from 'vitest'
import { setUp } from '../testing/set-up.ts'
import { OpenAiImages } from './openai-answer.ts'

type Api = Awaited<ReturnType<typeof setUp>>
type Job = Awaited<ReturnType<Api['take']>>

async function startApi(options: Parameters<typeof setUp>[1] = {}): Promise<Api> {
  const api = await setUp(process.env, options)
  onTestFinished(() => api.close())
  return api
}

const post = ({ app }: Api, payload: object, headers: Record<string, string> = {}) =>
  app.inject({
    method: 'POST',
    url: '/v1/images/generations',
    payload: { prompt: 'a red fox', ...payload },
    headers,
  })
const takeSoon = (api: Api): Promise<Job> => vi.waitFor(() => api.take(), 10_000)

/** Asks for images and draws them, as a worker does; gives the answer and the jobs. */
async function draw(api: Api, payload: object = {}, { n = 1, bytes = 'png' } = {}) {
  const answering = post(api, payload)
  const jobs: Job[] = []
  for (let i = 0; i < n; i++) {
    const job = await takeSoon(api)
    await api.succeed(job, `${bytes} ${job.data.index}`)
    jobs.push(job)
  }
  const answer = await answering
  expect(answer.statusCode, answer.body).toBe(200)
  return { answer: OpenAiImages.parse(answer.json()), jobs, headers: answer.headers }
}

const ofBase64 = (text: string | undefined) => Buffer.from(text!, 'base64').toString()
const hex = (key: string) => createHash('sha256').update(key).digest('hex')

it('answers with base64, the seed of each image, the size that was drawn and the tokens', async () => {
  const { answer, headers } = await draw(await startApi(), { n: 2, seed: 7 }, { n: 2 })
  expect(answer.data.map(({ seed, b64_json }) => [seed, ofBase64(b64_json)])).toEqual([
    [7, 'png 0'],
    [8, 'png 1'],
  ])
  expect(answer.data[0]).not.toHaveProperty('url')
  expect(answer).toMatchObject({ output_format: 'png', size: '256x256', background: 'opaque' })
  expect(answer.usage).toEqual({
    ...{ input_tokens: 3, output_tokens: 0, total_tokens: 3 },
    input_tokens_details: { text_tokens: 3, image_tokens: 0 },
  })
  expect(Math.abs(answer.created - Date.now() / 1000)).toBeLessThan(60)
  expect(headers['x-request-id']).toMatch(/^[\w-]{36}$/)
})

it('answers with absolute, signed links on request, by the address that a trusted proxy tells', async () => {
  const api = await startApi({ apiKeys: [{ name: 'alice', sha256: hex('secret') }] })
  const answering = post(
    api,
    { response_format: 'url', output_format: 'webp' },
    {
      ...{ authorization: 'Bearer secret' },
      ...{ 'x-forwarded-host': 'pictures.example', 'x-forwarded-proto': 'https' },
    },
  )
  await api.succeed(await takeSoon(api), 'a webp')
  const { data } = OpenAiImages.parse((await answering).json())
  const url = new URL(data[0]!.url!)
  expect(url.origin).toBe('https://pictures.example')
  expect(url.pathname).toMatch(/^\/api\/v1\/images\/[\w-]+\/0\.webp$/)
  expect(data[0]).not.toHaveProperty('b64_json')
  const file = await api.app.inject(url.pathname + url.search)
  expect([file.statusCode, file.body]).toEqual([200, 'a webp'])
  expect((await api.app.inject(url.pathname)).statusCode).toBe(401)
})

it.each<[object, object]>([
  [{ seed: 7 }, { seed: 7 }],
  [{ rng_seed: 8 }, { seed: 8 }],
  [{ seed: null, rng_seed: 9 }, { seed: 9 }],
  [{ steps: 3 }, { steps: 3 }],
  [{ num_inference_steps: 4 }, { steps: 4 }],
  [{ step: 5 }, { steps: 5 }],
  [
    { negative_prompt: 'rain', guidance_scale: 2 },
    { negativePrompt: 'rain', guidance: 2 },
  ],
  [{ cfg_scale: 1.5 }, { guidance: 1.5 }],
  [{ output_format: 'jpeg' }, { format: 'jpeg' }],
  [{ output_format: 'webp' }, { format: 'webp' }],
  [{ size: '512x384' }, { width: 512, height: 384 }],
  [{ size: '1792x1024' }, { width: 1024, height: 584 }],
  [{ size: 'auto' }, { width: 256, height: 256 }],
  [
    { size: null, n: null, model: null, response_format: null, stream: null },
    { width: 256, height: 256 },
  ],
  [{ model: 'demo' }, { prompt: 'a red fox' }],
  [{ model: 'dall-e-3' }, { prompt: 'a red fox' }],
  [{ model: 'gpt-image-1.5' }, { prompt: 'a red fox' }],
  [{ model: '' }, { prompt: 'a red fox' }],
  [
    { quality: 'hd', style: 'vivid', background: 'transparent', moderation: 'low', user: 'me' },
    { prompt: 'a red fox' },
  ],
  [
    { output_compression: 50, strength: 0.3, partial_images: 2, some_field: { of: ['another tool'] } },
    { prompt: 'a red fox' },
  ],
])('takes %j as %j', async (payload, expected) => {
  const { jobs, answer } = await draw(await startApi(), payload)
  expect(jobs[0]!.data).toMatchObject({ version: 2, ...expected })
  expect(jobs[0]!.data).not.toHaveProperty('previews')
  expect(answer.size).toBe(`${jobs[0]!.data.width}x${jobs[0]!.data.height}`)
})

it('draws a seed where none is given or -1, and reports it', async () => {
  const api = await startApi()
  const seeds = []
  for (const seed of [undefined, null, -1]) {
    const { answer, jobs } = await draw(api, { seed })
    expect(answer.data[0]!.seed).toBe(jobs[0]!.data.seed)
    seeds.push(answer.data[0]!.seed)
  }
  expect(new Set(seeds).size).toBe(3)
})

it('says what had no effect', async () => {
  const { answer } = await draw(await startApi(), { negative_prompt: 'rain' })
  expect(answer.data[0]!.warnings).toEqual(['without effect'])
})

it('draws from an image that is in the body, as far from it as strength says', async () => {
  const red = await sharp({ create: { width: 40, height: 30, channels: 3, background: 'red' } })
    .png()
    .toBuffer()
  const image = `data:image/png;base64,${red.toString('base64')}`
  const { jobs } = await draw(await startApi(), { image, strength: 0.75, steps: 4 })
  expect(jobs[0]!.data).toMatchObject({ version: 3, strength: 0.75, steps: 4 })
})

it.each<[object, string, string | null]>([
  [{ prompt: '' }, 'prompt is empty; say what to draw', 'prompt'],
  [{ prompt: undefined }, 'prompt is missing; it must be a string', 'prompt'],
  [{ prompt: 'x'.repeat(2001) }, 'prompt is 2001 characters; the limit is 2000', 'prompt'],
  [{ model: 'x'.repeat(201) }, 'model is 201 characters; the limit is 200', 'model'],
  [{ n: 9 }, 'n is 9; the limit is 8', 'n'],
  [{ n: 1.5 }, 'n is 1.5; it must be a whole number', 'n'],
  [{ num_inference_steps: 51 }, 'num_inference_steps is 51; the limit is 50', 'num_inference_steps'],
  [{ steps: 9 }, 'steps is 9; the limit of the model demo is 8', null],
  [{ cfg_scale: 31 }, 'cfg_scale is 31; the limit is 30', 'cfg_scale'],
  [{ guidance_scale: '7' }, 'guidance_scale is "7"; it must be a number', 'guidance_scale'],
  [{ rng_seed: -2 }, 'rng_seed is -2; the least is 0', 'rng_seed'],
  [{ negative_prompt: 5 }, 'negative_prompt is 5; it must be a string', 'negative_prompt'],
  [{ size: 'large' }, 'size is "large"; it must be "auto" or WIDTHxHEIGHT', 'size'],
  [{ output_format: 'gif' }, 'output_format is "gif"; it must be one of png, jpeg, webp', 'output_format'],
  [
    { response_format: 'path' },
    'response_format is "path"; it must be one of b64_json, url',
    'response_format',
  ],
  [{ stream: true, partial_images: 4 }, 'partial_images is 4; the limit is 3', 'partial_images'],
  [{ image: 'what?' }, 'image is not base64', 'image'],
])('refuses %j: %s', async (payload, message, param) => {
  const answer = await post(await startApi(), payload)
  expect(answer.statusCode).toBe(400)
  const { error } = answer.json()
  expect(error).toEqual({
    ...{ type: 'invalid_request_error', code: 'invalid_request', param },
    message: expect.stringContaining(message),
  })
  expect(answer.headers['x-should-retry']).toBe('false')
})

it('refuses a model that is not there by its own code, and what is not JSON', async () => {
  const api = await startApi()
  const unknown = await post(api, { model: 'midjourney' })
  expect([unknown.statusCode, unknown.json()]).toEqual([
    404,
    {
      error: {
        ...{ type: 'invalid_request_error', param: 'model', code: 'model_not_found' },
        message: 'there is no model "midjourney"; there are demo',
      },
    },
  ])
  const headers = { 'content-type': 'application/json' }
  const url = '/v1/images/generations'
  const broken = await api.app.inject({ method: 'POST', url, headers, payload: '{"prompt":' })
  expect([broken.statusCode, broken.json().error.type]).toEqual([400, 'invalid_request_error'])
  const large = await api.app.inject({ method: 'POST', url, headers, payload: '"'.padEnd(12e6, 'x') })
  expect([large.statusCode, large.json().error.code]).toEqual([413, 'payload_too_large'])
  const xml = await api.app.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'text/xml' },
    payload: '<a>',
  })
  expect([xml.statusCode, xml.json().error.code]).toEqual([415, 'unsupported_media_type'])
  const variations = await api.app.inject({ method: 'POST', url: '/v1/images/variations?x=1', payload: {} })
  expect([variations.statusCode, variations.json().error]).toEqual([
    404,
    {
      ...{ type: 'invalid_request_error', param: null, code: 'not_found' },
      message: 'there is no POST /v1/images/variations',
    },
  ])
})

it('asks for a key in OpenAI’s shape', async () => {
  const api = await startApi({ apiKeys: [{ name: 'alice', sha256: hex('secret') }] })
  const answer = await post(api, {}, { authorization: 'Bearer wrong', 'x-request-id': 'mine-7' })
  expect(answer.statusCode).toBe(401)
  expect(answer.json().error).toMatchObject({ type: 'invalid_request_error', code: 'invalid_api_key' })
  expect(answer.headers['x-request-id']).toBe('mine-7')
  expect(answer.headers['www-authenticate']).toBe('Bearer')
})

it('answers a full queue with 429 and when to come back, which may be retried', async () => {
  const api = await startApi({ queueLimit: 8 })
  await api.app.inject({ method: 'POST', url: '/api/v1/images', payload: { prompt: 'x', n: 8 } })
  const answer = await post(api, {})
  expect(answer.statusCode).toBe(429)
  expect(answer.json().error).toMatchObject({ type: 'rate_limit_error', code: 'rate_limit_exceeded' })
  expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(1)
  expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(60)
  expect(answer.headers['x-should-retry']).toBeUndefined()
})

it('answers 503 and when to come back while no model is there', async () => {
  const answer = await post(await startApi({ isAnnounced: false }), {})
  expect([answer.statusCode, answer.headers['retry-after'], answer.json().error.type]).toEqual([
    ...[503, '5', 'server_error'],
  ])
  expect(answer.headers['x-should-retry']).toBeUndefined()
})

it('tells clients not to repeat what could not be drawn in two tries', async () => {
  const api = await startApi()
  const answering = post(api, {})
  for (let attempt = 0; attempt < 2; attempt++) await api.fail(await takeSoon(api), 'generation_failed')
  const answer = await answering
  expect([answer.statusCode, answer.headers['x-should-retry']]).toEqual([500, 'false'])
  expect(answer.json().error).toEqual({
    ...{ type: 'server_error', param: null, code: 'generation_failed' },
    message: 'The image could not be drawn. The same request may succeed another time.',
  })
})

it('tells that somebody canceled the request by its id', async () => {
  const api = await startApi()
  const answering = post(api, {})
  const { id } = (await takeSoon(api)).data
  await api.app.inject({ method: 'POST', url: `/api/v1/images/${id}/cancel` })
  const answer = await answering
  expect([answer.statusCode, answer.headers['x-should-retry']]).toEqual([409, 'false'])
  expect(answer.json().error.code).toBe('canceled')
})

it('tells what a safety service refused, and whether it was the prompt or the image', async () => {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.end('{"flagged":true,"category":"violence"}'))
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await vi.waitFor(() => expect(server.listening).toBe(true))
  const hooks = { SAFETY_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
  const prompt = await post(await startApi({ hooks }), {})
  const flagged = (stage: string) => ({
    ...{ type: 'image_generation_user_error', param: null, code: 'moderation_blocked' },
    moderation_details: { moderation_stage: stage, categories: ['violence'] },
  })
  expect([prompt.statusCode, prompt.json().error]).toMatchObject([400, flagged('input')])

  const api = await startApi()
  const answering = post(api, {})
  for (let attempt = 0; attempt < 2; attempt++) await api.fail(await takeSoon(api), 'flagged:violence')
  const image = await answering
  expect([image.statusCode, image.json().error]).toMatchObject([400, flagged('output')])
})

it('draws an image no larger than a worker has memory for', async () => {
  const api = await startApi()
  const worker = {
    ...{ id: 'w1', startedAt: '2026-01-01T00:00:00.000Z', plan: 'int8', threads: 8, batchMaxSize: 4 },
    ...{ cpu: { model: 'a CPU', features: [] }, rssBytes: 1e9, imagesPerMinute: 1, maxPixels: 512 * 512 },
  }
  await api.redis.sadd(workersKey(api.prefix, 'demo'), 'w1')
  await api.redis.set(workerKey(api.prefix, 'demo', 'w1'), JSON.stringify(worker))
  const { answer } = await draw(api, { size: '1024x1024' })
  expect(answer.size).toBe('512x512')
})

it('sends spaces while a client waits, and the answer behind them', async () => {
  const api = await startApi({ heartbeatMs: 50 })
  const base = await api.app.listen({ host: '127.0.0.1', port: 0 })
  const asking = fetch(`${base}/v1/images/generations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"prompt":"a red fox"}',
  })
  const job = await takeSoon(api)
  const answer = await asking // the headers, while nothing is drawn
  expect([answer.status, answer.headers.get('content-type')]).toEqual([
    200,
    'application/json; charset=utf-8',
  ])
  await api.succeed(job, 'a fox')
  const text = await answer.text()
  expect(text).toMatch(/^ +\{/)
  expect(ofBase64(OpenAiImages.parse(JSON.parse(text)).data[0]!.b64_json)).toBe('a fox')
})

it('puts an error that comes after the first space into the body, whose status is 200 by then', async () => {
  const api = await startApi({ heartbeatMs: 50 })
  const base = await api.app.listen({ host: '127.0.0.1', port: 0 })
  const asking = fetch(`${base}/v1/images/generations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"prompt":"a red fox"}',
  })
  const job = await takeSoon(api)
  const answer = await asking
  await api.fail(job, 'generation_failed')
  await api.fail(await takeSoon(api), 'generation_failed')
  expect(answer.status).toBe(200)
  expect(await answer.json()).toMatchObject({ error: { type: 'server_error', code: 'generation_failed' } })
  const metrics = (await api.app.inject('/metrics')).body
  expect(metrics).toContain('route="/v1/images/generations",status="200",code="generation_failed"} 1')
  expect(metrics).not.toContain('sd_http_request_duration_seconds_count{method="POST"') // it waited
})

it('keeps a request that the native API knows, too', async () => {
  const api = await startApi()
  const { answer } = await draw(api, { seed: 7 })
  const found = await api.app.inject(`/api/v1/images/${answer.id}`)
  expect(ImagesResource.parse(found.json())).toMatchObject({ status: 'succeeded', request: { seed: 7 } })
})
