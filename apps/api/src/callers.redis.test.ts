import { createHash } from 'node:crypto'
import { batchTimesKey, ImagesResource, workerKey, workersKey } from '@sdcpu/contract'
import { expect, it, onTestFinished, vi } from 'vitest'
import type { ApiKey } from './api-keys.ts'
import { setUp } from './testing/set-up.ts'

type Api = Awaited<ReturnType<typeof setUp>>
type Headers = Record<string, string>

async function startApi(options: Parameters<typeof setUp>[1] = {}): Promise<Api> {
  const api = await setUp(process.env, options)
  onTestFinished(() => api.close())
  return api
}

const keyed = (name: string, limits: Partial<ApiKey> = {}): ApiKey => ({
  name,
  sha256: createHash('sha256').update(`secret-of-${name}`).digest('hex'),
  ...limits,
})
const as = (name: string): Headers => ({ authorization: `Bearer secret-of-${name}` })
const basic = (text: string): Headers => ({
  authorization: `Basic ${Buffer.from(text).toString('base64')}`,
})
const asked = (key: string, user: string): Headers => ({ ...as(key), 'x-openwebui-user-id': user })
const token = (name: string): Headers => ({ 'x-client-token': `the-token-of-${name}` })
const body = { prompt: 'a red fox', size: '64x64', steps: 2 }
const post = ({ app }: Api, headers: Headers, payload: object = {}) =>
  app.inject({ method: 'POST', url: '/api/v1/images', payload: { ...body, ...payload }, headers })
const get = ({ app }: Api, url: string, headers: Headers = {}) => app.inject({ url, headers })

async function create(api: Api, headers: Headers, payload: object = {}): Promise<ImagesResource> {
  const answer = await post(api, headers, payload)
  expect(answer.statusCode).toBe(202)
  return ImagesResource.parse(answer.json())
}

it('answers nobody without a key where there are keys, except probes and documents', async () => {
  const api = await startApi({ apiKeys: [keyed('alice')] })
  for (const headers of [{}, { authorization: 'Bearer wrong' }, token('alice')] as Headers[]) {
    for (const url of [
      '/api/v1/images',
      '/api/v1/models',
      '/api/v1/system',
      '/api/v1/images/x',
      '/nothing',
    ]) {
      const answer = await get(api, url, headers)
      expect([url, answer.statusCode, answer.json().error.code]).toEqual([url, 401, 'unauthorized'])
      expect(answer.headers['www-authenticate']).toBe('Bearer')
    }
    expect((await post(api, headers)).statusCode).toBe(401)
  }
  for (const url of ['/healthz', '/readyz', '/docs', '/openapi.json'])
    expect((await get(api, url)).statusCode).toBe(200)
  await create(api, as('alice'))
  await create(api, { 'x-api-key': 'secret-of-alice' })
  await create(api, basic('any-name:secret-of-alice'))
})

it('asks for Basic only where clients of AUTOMATIC1111 do', async () => {
  const api = await startApi({ apiKeys: [keyed('alice')] })
  const challenge = async (url: string) => (await get(api, url)).headers['www-authenticate']
  const both = ['Basic realm="API key as password", charset="UTF-8"', 'Bearer']
  expect(await challenge('/sdapi/v1/options')).toEqual(both)
  expect(await challenge('/internal/progress')).toEqual(both)
  for (const url of ['/api/v1/models?sdapi/', '/v1/models', '/mcp', '/sdapi-not'])
    expect([url, await challenge(url)]).toEqual([url, 'Bearer'])
})

it('takes a request with an empty Basic header for one without any, where there are no keys', async () => {
  const api = await startApi()
  for (const authorization of ['Basic ', `Basic ${Buffer.from('').toString('base64')}`, 'Basic Og==', ''])
    await create(api, { authorization })
})

it('lets only the owner see, follow, cancel, delete and list a request', async () => {
  const api = await startApi({ apiKeys: [keyed('alice'), keyed('bob')] })
  const { id } = await create(api, as('alice'))
  await api.succeed(await api.take())
  for (const [method, path] of [
    ['GET', ''],
    ['GET', '/events'],
    ['GET', '/0.png'],
    ['POST', '/cancel'],
    ['DELETE', ''],
  ] as const) {
    const url = `/api/v1/images/${id}${path}`
    const answer = await api.app.inject({ method, url, headers: as('bob') })
    expect([path, answer.statusCode, answer.json().error.code]).toEqual([path, 404, 'image_not_found'])
  }
  expect((await get(api, '/api/v1/images', as('bob'))).json().requests).toEqual([])
  const listed = (await get(api, '/api/v1/images', as('alice'))).json().requests
  expect(listed.map((request: ImagesResource) => request.id)).toEqual([id])
})

it('gives links that a browser can follow without the key, and nobody can make up', async () => {
  const api = await startApi({ apiKeys: [keyed('alice')] })
  const { id } = await create(api, as('alice'), { n: 2 })
  await api.succeed(await api.take())
  const { images } = (await get(api, `/api/v1/images/${id}`, as('alice'))).json()
  const url: string = images[0].url
  expect((await get(api, url)).body).toBe('png')
  expect((await get(api, url.split('?')[0]!)).statusCode).toBe(401)
  expect((await get(api, url.replace('/0.png', '/1.png'))).statusCode).toBe(401)
  expect((await get(api, `${url}x`)).statusCode).toBe(401)
})

it('holds a key to its images a minute', async () => {
  const api = await startApi({ apiKeys: [keyed('alice', { imagesPerMinute: 6 }), keyed('bob')] })
  await create(api, as('alice'), { n: 4 })
  await create(api, as('alice'), { n: 2 })
  const refused = await post(api, as('alice'), { n: 2 })
  expect([refused.statusCode, refused.json().error.code]).toEqual([429, 'rate_limited'])
  expect(refused.json().error.message).toBe('your key allows 6 images a minute')
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(15) // two images of six a minute
  expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(20)
  expect((await post(api, as('alice'), { n: 7 })).json().error.message).toBe(
    'n is 7; your key allows 6 images a minute',
  )
  await create(api, as('bob'), { n: 8 })
})

it('holds a key to its images at once, and forgets those that have ended', async () => {
  const api = await startApi({ apiKeys: [keyed('alice', { imagesAtOnce: 3 })] })
  const { id } = await create(api, as('alice'), { n: 2 })
  await create(api, as('alice'))
  const refused = await post(api, as('alice'))
  expect(refused.statusCode).toBe(429)
  expect(refused.json().error.message).toBe(
    'your key allows 3 images waiting or being drawn at once and there are 3; there is no room for 1 more',
  )
  await api.app.inject({ method: 'POST', url: `/api/v1/images/${id}/cancel`, headers: as('alice') })
  await create(api, as('alice'), { n: 2 })
  await api.succeed(await api.take())
  await create(api, as('alice'))
})

it('draws one image of each caller in turn, however many one of them asked for', async () => {
  const api = await startApi()
  await create(api, token('much-of-it'), { n: 4, prompt: 'much' })
  await create(api, token('little'), { n: 2, prompt: 'little' })
  const first = [await api.take(), await api.take(), await api.take()]
  await create(api, token('late-comer'), { prompt: 'late' })
  const rest = [await api.take(), await api.take(), await api.take(), await api.take()]
  expect([...first, ...rest].map(({ data }) => data.prompt)).toEqual([
    ...['much', 'little', 'much'],
    // The late one is in the round that is drawn now, after those who were there first.
    ...['little', 'late', 'much', 'much'],
  ])
})

it('gives each user behind a key a turn, where the key says that its holder tells them', async () => {
  const api = await startApi({ apiKeys: [keyed('chat', { forwardsUsers: true }), keyed('other')] })
  for (const key of ['chat', 'other']) {
    await create(api, asked(key, 'ann'), { n: 3, prompt: `${key}, ann` })
    await create(api, asked(key, 'ben'), { n: 1, prompt: `${key}, ben` })
  }
  const prompts: string[] = []
  for (let i = 0; i < 8; i++) prompts.push((await api.take()).data.prompt)
  // A key that forwards nobody is one caller, whatever its holder sends.
  expect(prompts).toEqual([
    ...['chat, ann', 'chat, ben', 'other, ann'],
    ...['chat, ann', 'other, ann'],
    ...['chat, ann', 'other, ann'],
    'other, ben',
  ])
})

it('holds each user to limits of its own, and all of them together to those of the key', async () => {
  const perUser = { imagesPerMinute: 4, imagesAtOnce: 3 }
  const limits = { imagesPerMinute: 6, imagesAtOnce: 4, forwardsUsers: true, perUser }
  const api = await startApi({ apiKeys: [keyed('chat', limits)] })
  const refusal = async (user: string, n: number) => {
    const answer = await post(api, asked('chat', user), { n })
    return [answer.statusCode, answer.json().error.message]
  }
  expect(await refusal('ann', 7)).toEqual([400, 'n is 7; your key allows 6 images a minute'])
  expect(await refusal('ann', 5)).toEqual([400, 'n is 5; your key allows 4 images at once'])
  expect(await refusal('ann', 4)).toEqual([400, 'n is 4; your key allows each of its users 3 images at once'])
  const { id } = await create(api, asked('chat', 'ann'), { n: 3 })
  expect(await refusal('ann', 1)).toEqual([
    429,
    'your key allows each of its users 3 images waiting or being drawn at once and there are 3; there is no room for 1 more',
  ])
  await create(api, asked('chat', 'ben'), { n: 1 })
  // Whoever makes up users gets no further than the key.
  expect(await refusal('made-up', 1)).toEqual([
    429,
    'your key allows 4 images waiting or being drawn at once and there are 4; there is no room for 1 more',
  ])
  await api.app.inject({ method: 'POST', url: `/api/v1/images/${id}/cancel`, headers: as('chat') })
  expect(await refusal('ann', 2)).toEqual([429, 'your key allows each of its users 4 images a minute'])
  expect(await refusal('made-up', 3)).toEqual([429, 'your key allows 6 images a minute'])
  // A refusal uses nothing up: what was left to both is there.
  await create(api, asked('chat', 'ann'), { n: 1 })
  await create(api, asked('chat', 'made-up'), { n: 1 })
  expect(await refusal('another', 1)).toEqual([429, 'your key allows 6 images a minute'])
})

it('keeps of a forwarded user nothing but a digest', async () => {
  const perUser = { imagesPerMinute: 4, imagesAtOnce: 3 }
  const api = await startApi({ apiKeys: [keyed('chat', { forwardsUsers: true, perUser })] })
  const { id } = await create(api, asked('chat', 'ann-of-accounting'))
  const kept: string[] = []
  for await (const keys of api.redis.scanStream({ match: `${api.prefix}:*` }))
    for (const key of keys as string[])
      kept.push(key, (await api.redis.dumpBuffer(key))?.toString('latin1') ?? '')
  expect(kept.join('\n')).toContain(id)
  expect(kept.join('\n')).toContain('rate:user-')
  expect(kept.join('\n')).not.toContain('accounting')
})

it('never draws an image whose deadline has passed, and says so', async () => {
  const api = await startApi()
  const { id } = await create(api, {}, { expiresInSeconds: 1, n: 2 })
  const held = await api.take()
  expect(held.data.expiresAtMs).toBeGreaterThan(Date.now() - 5000)
  await new Promise((resolve) => setTimeout(resolve, 1100))
  const { images } = (await get(api, `/api/v1/images/${id}`)).json()
  const failed = { code: 'deadline_exceeded', message: 'The image was not begun before its deadline.' }
  expect(images[0].status).toBe('queued') // the worker that holds it decides
  expect(images[1]).toMatchObject({ status: 'failed', error: failed })
  await expect(api.take()).rejects.toThrow('no job waits')
  await api.fail(held, 'deadline_exceeded')
  expect((await get(api, `/api/v1/images/${id}`)).json().images[1].error).toEqual(failed)
})

it('tells place and time from what workers have measured, at once and as it goes on', async () => {
  const api = await startApi()
  const first = await create(api, {})
  expect(first).toMatchObject({ notice: 'no_worker', images: [{ position: 0 }] })
  expect(first.images[0]).not.toHaveProperty('etaSeconds')

  const status = {
    ...{ id: 'w1', startedAt: '2026-01-01T00:00:00.000Z', plan: 'fp32', threads: 1, batchMaxSize: 1 },
    ...{ cpu: { model: '', features: [] }, rssBytes: 1, imagesPerMinute: 0 },
  }
  await api.redis.sadd(workersKey(api.prefix, 'demo'), 'w1')
  await api.redis.set(workerKey(api.prefix, 'demo', 'w1'), JSON.stringify(status))
  const times = JSON.stringify({ stepMs: 4000, restMs: 2000 })
  await api.redis.hset(batchTimesKey(api.prefix, 'demo'), '64x64 1 1', times)

  const second = await create(api, {})
  expect(second.images[0]).toMatchObject({ position: 1, etaSeconds: 20 })
  expect(second).not.toHaveProperty('notice')
  const job = await api.take()
  await job.updateProgress({ begun: 1, step: 1, worker: 'w1' })
  const find = async ({ id }: ImagesResource) => (await get(api, `/api/v1/images/${id}`)).json().images[0]
  await vi.waitFor(
    async () => expect(await find(first)).toMatchObject({ status: 'running', etaSeconds: 4 }),
    5000,
  )
  expect(await find(second)).toMatchObject({ status: 'queued', position: 0, etaSeconds: 14 })
})

it('refuses a size that no worker has the memory for, with the numbers', async () => {
  const api = await startApi()
  const status = {
    ...{
      startedAt: '2026-01-01T00:00:00.000Z',
      plan: 'fp32',
      threads: 1,
      batchMaxSize: 1,
      maxPixels: 300_000,
    },
    ...{ cpu: { model: '', features: [] }, rssBytes: 1, imagesPerMinute: 0 },
  }
  await api.redis.sadd(workersKey(api.prefix, 'demo'), 'w1')
  await api.redis.set(workerKey(api.prefix, 'demo', 'w1'), JSON.stringify({ ...status, id: 'w1' }))
  await create(api, {}, { size: '512x512' })
  const answer = await post(api, {}, { size: '1024x1024' })
  expect([answer.statusCode, answer.json().error.code]).toEqual([400, 'size_too_large'])
  expect(answer.json().error.message).toBe(
    'size is 1024x1024, 1048576 pixels; the workers have memory for 300000',
  )
})

it('tells when the queue is full how long it takes until there is room', async () => {
  const api = await startApi({ queueLimit: 8 })
  await create(api, {}, { n: 8 })
  const answer = await post(api, {})
  expect([answer.statusCode, answer.headers['retry-after']]).toEqual([429, '10'])
})
