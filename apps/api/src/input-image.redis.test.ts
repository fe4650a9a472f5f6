import {
  batchTimesKey,
  ImagesResource,
  inputImageKey,
  MAX_INPUT_BYTES,
  workerKey,
  workersKey,
} from '@sdcpu/contract'
import sharp from 'sharp'
import { expect, it, onTestFinished } from 'vitest'
import { setUp } from './testing/set-up.ts'

type Api = Awaited<ReturnType<typeof setUp>>

async function startApi(): Promise<Api> {
  const api = await setUp(process.env)
  onTestFinished(() => api.close())
  return api
}

const post = ({ app }: Api, payload: object) =>
  app.inject({ method: 'POST', url: '/api/v1/images', payload: { prompt: 'a red fox', ...payload } })
const picture = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: 'red' } })
const RED = await picture(40, 30).png().toBuffer()

it('keeps the image once for all of a request, with a TTL, and queues its strength without it', async () => {
  const api = await startApi()
  const answer = await post(api, { image: RED.toString('base64'), strength: 0.75, steps: 4, n: 2 })
  expect(answer.statusCode).toBe(202)
  const { id, request, images } = ImagesResource.parse(answer.json())
  expect(request).toMatchObject({
    ...{ strength: 0.75, steps: 4, image: { bytes: RED.length, width: 40, height: 30 } },
  })
  expect(images.map(({ steps }) => steps)).toEqual([3, 3])
  const key = inputImageKey(api.prefix, id)
  expect((await api.redis.getBuffer(key))?.equals(RED)).toBe(true)
  expect(await api.redis.ttl(key)).toBeGreaterThan(95)
  const job = await api.take()
  expect(job.data).toMatchObject({ version: 3, strength: 0.75, steps: 4 })
  expect(JSON.stringify(job.data).length).toBeLessThan(1000)
  const found = await api.app.inject({ method: 'GET', url: `/api/v1/images/${id}` })
  expect(ImagesResource.parse(found.json()).request).toEqual(request)
})

it("takes a strength of a half and the model's steps where none are given", async () => {
  const api = await startApi()
  const answer = await post(api, { image: `data:image/png;base64,${RED.toString('base64')}` })
  expect(answer.json()).toMatchObject({
    request: { strength: 0.5, steps: 2 },
    images: [{ steps: 1, status: 'queued' }],
  })
})

it('queues a request without an image as one that older workers know too', async () => {
  const api = await startApi()
  const answer = await post(api, {})
  expect(answer.json().request).not.toHaveProperty('strength')
  expect((await api.take()).data).toMatchObject({ version: 2 })
})

it.each<[string, () => Promise<object>, string]>([
  [
    'text',
    async () => ({ image: Buffer.from('hello').toString('base64') }),
    'image is not a PNG, JPEG or WebP file',
  ],
  [
    'SVG',
    async () => ({ image: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>').toString('base64') }),
    'image is not a PNG, JPEG or WebP file',
  ],
  [
    'a header cut short',
    async () => ({ image: RED.subarray(0, 20).toString('base64') }),
    'image is damaged: its header cannot be read',
  ],
  [
    'too many pixels',
    async () => ({ image: (await picture(5000, 4000).png().toBuffer()).toString('base64') }),
    'image is 5000x4000, 20000000 pixels; the limit is 16777216',
  ],
  [
    'too many bytes',
    async () => ({ image: Buffer.alloc(MAX_INPUT_BYTES + 1).toString('base64') }),
    'image is 8388609 bytes; the limit is 8388608',
  ],
  [
    'no step to draw',
    async () => ({ image: RED.toString('base64'), strength: 0.2, steps: 4 }),
    'strength 0.2 x 4 steps is 0.8; it must be 1 or more, or nothing is drawn',
  ],
  [
    'a strength alone',
    async () => ({ strength: 0.2 }),
    'strength is 0.2, but there is no image to begin with',
  ],
])('refuses %s with the numbers, and keeps nothing', async (_what, body, message) => {
  const api = await startApi()
  const answer = await post(api, await body())
  expect(answer.statusCode).toBe(400)
  expect(answer.json()).toMatchObject({ error: { code: 'invalid_request', message } })
  expect(await api.redis.keys(`${api.prefix}:inputs:*`)).toEqual([])
  await expect(api.take()).rejects.toThrow('no job waits')
})

it('refuses a body that no image within the limit needs, with the number', async () => {
  const api = await startApi()
  const answer = await post(api, { image: 'A'.repeat(12_000_000) })
  expect(answer.statusCode).toBe(413)
  expect(answer.json()).toMatchObject({
    error: { code: 'payload_too_large', message: 'the body is larger than 11250348 bytes' },
  })
})

it.each([
  ['invalid_request', 'The image to begin with is damaged: its header could be read, but not all of it.'],
  ['expired', 'The image to begin with was gone before its turn came. Send the request again.'],
])('says what became of an image that a worker gave up with %s', async (code, message) => {
  const api = await startApi()
  const { id } = (await post(api, { image: RED.toString('base64') })).json()
  for (let attempt = 0; attempt < 2; attempt++) await api.fail(await api.take(), code)
  const found = await api.app.inject({ method: 'GET', url: `/api/v1/images/${id}` })
  expect(found.json().images[0]).toMatchObject({ status: 'failed', error: { code, message } })
})

it('forecasts the steps that are drawn from an image, in a batch of one strength', async () => {
  const api = await startApi()
  const status = {
    ...{ id: 'w1', startedAt: '2026-01-01T00:00:00.000Z', plan: 'fp32', threads: 1, batchMaxSize: 2 },
    ...{ cpu: { model: '', features: [] }, rssBytes: 1, imagesPerMinute: 0 },
  }
  await api.redis.sadd(workersKey(api.prefix, 'demo'), 'w1')
  await api.redis.set(workerKey(api.prefix, 'demo', 'w1'), JSON.stringify(status))
  const times = JSON.stringify({ stepMs: 1000, restMs: 2000, encodeImageMs: 500 })
  await api.redis.hset(batchTimesKey(api.prefix, 'demo'), '64x64 1 1', times)

  const from = { image: RED.toString('base64'), size: '64x64', steps: 4 }
  const half = await post(api, { ...from, strength: 0.5 })
  expect(half.json().images[0]).toMatchObject({ steps: 2, etaSeconds: 0.5 + 2 * 1 + 2 })
  const whole = await post(api, { ...from, strength: 1 })
  expect(whole.json().images[0]).toMatchObject({ steps: 4, etaSeconds: 4.5 + (0.5 + 4 * 1 + 2) })
})

it('refuses an image where the model cannot draw from one, and takes it where its worker does not tell', async () => {
  const api = await startApi()
  await api.announce({ name: 'plain', drawsFromImage: false })
  await api.announce({ name: 'older', drawsFromImage: undefined })
  const image = RED.toString('base64')
  const refused = await post(api, { image, model: 'plain' })
  expect([refused.statusCode, refused.json().error.message]).toEqual([
    400,
    'the model plain does not draw from an image; leave it out',
  ])
  expect((await post(api, { model: 'plain' })).statusCode).toBe(202)
  expect((await post(api, { image, model: 'older' })).statusCode).toBe(202)
})
