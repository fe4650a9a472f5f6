import { createHash } from 'node:crypto'
import { expect, it, onTestFinished, vi } from 'vitest'
import { setUp } from './testing/set-up.ts'

type Api = Awaited<ReturnType<typeof setUp>>
type Headers = Record<string, string>

async function startApi(options: Parameters<typeof setUp>[1] = {}): Promise<Api> {
  const api = await setUp(process.env, options)
  onTestFinished(() => api.close())
  return api
}

const send = ({ app }: Api, payload: object, headers: Headers = {}) =>
  app.inject({ method: 'POST', url: '/api/text2image', payload, headers })
const waiting = (api: Api) => vi.waitFor(() => api.take(), { timeout: 10_000, interval: 20 })
const PROMPT = 'A panda listening to music with headphones. highly detailed, 8k.'

it('answers in the shape it is remembered in, with measured times and links that lead to the images', async () => {
  const api = await startApi()
  const answering = send(
    api,
    { prompt: PROMPT, number: 2, unknown: true },
    { 'x-forwarded-host': 'draw.example', 'x-forwarded-proto': 'https' },
  )
  for (const bytes of ['first', 'second']) await api.succeed(await waiting(api), bytes)
  const answer = await answering
  expect(answer.statusCode).toBe(200)
  const body = answer.json()
  const { id, generationTimeSeconds: seconds } = body
  expect(body).toEqual({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    status: 'success',
    averageImageGenerationTimeSeconds: expect.any(Number),
    generationTimeSeconds: expect.any(Number),
    meta: { input: { batch: 1, model: 'demo', number: 2, prompt: PROMPT, size: '256x256', step: 2 } },
    output: [
      // 1 + 2 + 3 + 4 + 5 ms, as the worker has measured
      { latencySeconds: 0.015, url: `https://draw.example/images/${id}/0_0.png` },
      { latencySeconds: 0.015, url: `https://draw.example/images/${id}/1_0.png` },
    ],
  })
  expect(seconds).toBeGreaterThan(0)
  expect(body.averageImageGenerationTimeSeconds).toBeCloseTo(seconds / 2, 2)
  const files = await Promise.all([0, 1].map((i) => api.app.inject(`/images/${id}/${i}_0.png`)))
  expect(files.map((file) => [file.statusCode, file.headers['content-type'], file.body])).toEqual([
    [200, 'image/png', 'first'],
    [200, 'image/png', 'second'],
  ])
})

it('draws one image where no number is given', async () => {
  const api = await startApi()
  const answering = send(api, { prompt: PROMPT })
  await api.succeed(await waiting(api))
  expect((await answering).json()).toMatchObject({ meta: { input: { number: 1 } }, output: [{}] })
})

it.each([
  [{}, 'prompt is missing; it must be a string'],
  [{ prompt: 'x', number: 9 }, 'number is 9; the limit is 8'],
  [{ prompt: 'x', number: '2' }, 'number is "2"; it must be a whole number'],
])('refuses %j in the native shape of errors', async (payload, message) => {
  const answer = await send(await startApi(), payload)
  expect([answer.statusCode, answer.json()]).toEqual([
    400,
    { error: { code: 'invalid_request', message, requestId: expect.any(String) } },
  ])
})

it('does not wait where the queue has no room', async () => {
  const api = await startApi({ queueLimit: 1 })
  const first = send(api, { prompt: 'x' })
  const job = await vi.waitFor(async () => {
    expect((await send(api, { prompt: 'x', number: 2 })).statusCode).toBe(429)
    return api.take()
  })
  await api.succeed(job)
  expect((await first).statusCode).toBe(200)
})

it('tells of an image that failed, before and after the answer has begun', async () => {
  const failAll = async (api: Api, pauseMs: number) => {
    for (let attempt = 0; attempt < 2; attempt++) {
      const job = await waiting(api)
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
      await api.fail(job, 'generation_failed')
    }
  }
  const api = await startApi({ heartbeatMs: 500 })
  const early = send(api, { prompt: 'x' })
  await failAll(api, 0)
  expect([(await early).statusCode, (await early).json().error.code]).toEqual([500, 'generation_failed'])
  const late = send(api, { prompt: 'x' })
  await failAll(api, 400)
  expect([(await late).statusCode, (await late).json().error.code]).toEqual([200, 'generation_failed'])
})

it('signs links where requests need a key, and shows the images to nobody without', async () => {
  const sha256 = createHash('sha256').update('secret').digest('hex')
  const api = await startApi({ apiKeys: [{ name: 'alice', sha256 }] })
  expect((await send(api, { prompt: 'x' })).statusCode).toBe(401)
  const answering = send(api, { prompt: 'x' }, { authorization: 'Bearer secret' })
  await api.succeed(await waiting(api), 'bytes')
  const { pathname, search } = new URL((await answering).json().output[0].url)
  expect((await api.app.inject(pathname + search)).body).toBe('bytes')
  expect((await api.app.inject(pathname)).statusCode).toBe(401)
  expect((await api.app.inject(`${pathname}?signature=made-up`)).statusCode).toBe(401)
})
