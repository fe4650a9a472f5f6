import { ImagesList, ImagesResource, imageBytesKey, imageRequestKey } from '@sdcpu/contract'
import { Queue } from 'bullmq'
import { expect, it, onTestFinished, vi } from 'vitest'
import { setUp } from './testing/set-up.ts'

type Api = Awaited<ReturnType<typeof setUp>>
type Headers = Record<string, string>

async function startApi(options: Parameters<typeof setUp>[1] = {}): Promise<Api> {
  const api = await setUp(process.env, options)
  onTestFinished(() => api.close())
  return api
}

const body = { prompt: 'a red fox', size: '64x64', steps: 2 }
const post = ({ app }: Api, payload: object = {}, headers: Headers = {}) =>
  app.inject({ method: 'POST', url: '/api/v1/images', payload: { ...body, ...payload }, headers })
const call = ({ app }: Api, method: 'GET' | 'POST' | 'DELETE', url: string, headers: Headers = {}) =>
  app.inject({ method, url, headers })

async function create(api: Api, payload: object = {}, headers: Headers = {}): Promise<ImagesResource> {
  const answer = await post(api, payload, headers)
  expect(answer.statusCode).toBe(202)
  return ImagesResource.parse(answer.json())
}
const find = async (api: Api, id: string) =>
  ImagesResource.parse((await call(api, 'GET', `/api/v1/images/${id}`)).json())
const noJobWaits = (api: Api) => expect(api.take()).rejects.toThrow('no job waits')

it('looks at the queue a few times for many who ask at once, and knows the place of each', async () => {
  const api = await startApi()
  const looks = vi.spyOn(Queue.prototype, 'getRanges')
  const reads = vi.spyOn(Queue.prototype, 'getJob')
  onTestFinished(() => void vi.restoreAllMocks())
  const callers = Array.from({ length: 20 }, (_, i) => `token-of-caller-number-${i}`)
  const requests = await Promise.all(callers.map((token) => create(api, {}, { 'x-client-token': token })))
  const positions = requests.map(({ images }) => images[0]!.position)
  expect(positions.every((position) => typeof position === 'number' && position < callers.length)).toBe(true)
  const looked = looks.mock.calls.filter(([states]) => states.includes('waiting'))
  expect(looked.length).toBeLessThanOrEqual(callers.length / 2)
  expect(reads.mock.calls.length).toBeLessThanOrEqual(2 * callers.length) // to describe it, and to look ahead
})

it('cancels what waits at once, and it is never drawn', async () => {
  const api = await startApi()
  const { id } = await create(api, { n: 2 })
  const answer = await call(api, 'POST', `/api/v1/images/${id}/cancel`)
  expect(answer.statusCode).toBe(200)
  expect(answer.json()).toMatchObject({
    status: 'canceled',
    images: [{ status: 'canceled' }, { status: 'canceled' }],
  })
  await noJobWaits(api)
  expect((await call(api, 'GET', `/api/v1/images/${id}/0.png`)).json()).toMatchObject({
    error: { code: 'image_not_found', message: `image 0 of ${id} was canceled` },
  })
})

it('cancels what runs for good, and leaves what was drawn', async () => {
  const api = await startApi()
  const { id } = await create(api, { n: 2 })
  await api.succeed(await api.take())
  const running = await api.take()
  await running.updateProgress({ begun: 1, step: 1 })
  const answer = await call(api, 'POST', `/api/v1/images/${id}/cancel`)
  expect(answer.json()).toMatchObject({
    status: 'canceled',
    images: [{ status: 'succeeded' }, { status: 'canceled' }],
  })
  await api.succeed(running) // a worker that was just done
  expect(await find(api, id)).toMatchObject({ images: [{ status: 'succeeded' }, { status: 'canceled' }] })
  expect((await call(api, 'GET', `/api/v1/images/${id}/0.png`)).statusCode).toBe(200)
})

it('cancels the same request twice, and a finished one, without a change', async () => {
  const api = await startApi()
  const { id } = await create(api)
  await api.succeed(await api.take())
  for (let time = 0; time < 2; time++)
    expect((await call(api, 'POST', `/api/v1/images/${id}/cancel`)).json()).toMatchObject({
      status: 'succeeded',
    })
})

it('deletes a request with its image, its job and its prompt', async () => {
  const api = await startApi()
  const { id } = await create(api, { n: 2 })
  await api.succeed(await api.take())
  expect((await call(api, 'DELETE', `/api/v1/images/${id}`)).statusCode).toBe(204)
  for (const url of [`/api/v1/images/${id}`, `/api/v1/images/${id}/0.png`])
    expect((await call(api, 'GET', url)).statusCode).toBe(404)
  await noJobWaits(api)
  expect(await api.redis.exists(imageBytesKey(api.prefix, id, 0), imageRequestKey(api.prefix, id))).toBe(0)
  const keys = await api.redis.keys(`${api.prefix.replaceAll(/[{}]/g, '\\$&')}*${id}*`)
  expect(keys).toEqual([`${api.prefix}:canceled:${id}`])
  expect((await call(api, 'DELETE', `/api/v1/images/${id}`)).statusCode).toBe(404)
})

it.each([
  ['cancel', 'POST', '/api/v1/images/nobody/cancel'],
  ['delete', 'DELETE', '/api/v1/images/nobody'],
  ['follow', 'GET', '/api/v1/images/nobody/events'],
] as const)('knows nothing to %s under an unknown id', async (_, method, url) => {
  const answer = await call(await startApi(), method, url)
  expect([answer.statusCode, answer.json().error.code]).toEqual([404, 'image_not_found'])
})

const mine = { 'x-client-token': 'a-secret-of-this-browser' }
const yours = { 'x-client-token': 'a-secret-of-another-browser' }

it('lists the requests of one token, newest first, page by page', async () => {
  const api = await startApi()
  const ids: string[] = []
  for (const prompt of ['one', 'two', 'three']) ids.unshift((await create(api, { prompt }, mine)).id)
  await create(api, {}, yours)
  await create(api)
  const list = async (query: string) =>
    ImagesList.parse((await call(api, 'GET', `/api/v1/images?${query}`, mine)).json())

  const first = await list('limit=2')
  expect(first.requests.map(({ id }) => id)).toEqual(ids.slice(0, 2))
  const second = await list(`limit=2&before=${first.next}`)
  expect(second.requests.map(({ id }) => id)).toEqual(ids.slice(2))
  expect(second.next).toBeUndefined()

  await call(api, 'DELETE', `/api/v1/images/${ids[1]}`)
  expect((await list('')).requests.map(({ id }) => id)).toEqual([ids[0], ids[2]])
})

it.each([
  ['', {}, 'X-Client-Token is missing'],
  ['', { 'x-client-token': 'short' }, 'X-Client-Token must be 16 to 100'],
  ['?limit=0', mine, 'limit is 0; the least is 1'],
  ['?limit=101', mine, 'limit is 101; the limit is 100'],
  ['?limit=x', mine, 'limit must be a whole number'],
  ['?before=yesterday', mine, 'before is "yesterday"'],
])('does not list %s with %j: %s', async (query, headers, message) => {
  const answer = await call(await startApi(), 'GET', `/api/v1/images${query}`, headers as Headers)
  expect(answer.statusCode).toBe(400)
  expect(answer.json().error.message).toContain(message)
})

it('keeps no token of a browser in Redis', async () => {
  const api = await startApi()
  const { id } = await create(api, {}, mine)
  expect(await api.redis.get(imageRequestKey(api.prefix, id))).not.toContain(mine['x-client-token'])
})

const key = { 'idempotency-key': '7b0c' }

it('joins a repeat with the same key and body to the first, and refuses another body', async () => {
  const api = await startApi()
  const [first, second] = await Promise.all([create(api, {}, key), create(api, {}, key)])
  expect(second.id).toBe(first.id)
  expect(second.request.seed).toBe(first.request.seed)
  await api.take()
  await noJobWaits(api)
  const other = await post(api, { prompt: 'a blue fox' }, key)
  expect([other.statusCode, other.json().error.code]).toEqual([422, 'idempotency_mismatch'])
  expect((await create(api, {}, { ...key, ...mine })).id).not.toBe(first.id) // another caller's key
  expect((await post(api, {}, { 'idempotency-key': 'x'.repeat(256) })).statusCode).toBe(400)
})

it('takes a repeat for the first time when the first was refused', async () => {
  const api = await startApi({ queueLimit: 8 })
  await create(api, { n: 8 })
  expect((await post(api, {}, key)).statusCode).toBe(429)
  await api.take()
  const { id } = await create(api, {}, key)
  expect((await create(api, {}, key)).id).toBe(id)
})

it('queues a repeat whose jobs never arrived', async () => {
  const api = await startApi()
  const { id } = await create(api, {}, key)
  await (await api.take()).moveToWait('test')
  const queued = await api.take()
  await queued.moveToWait('test')
  await queued.remove() // as if Redis had gone away between the record and the jobs
  expect(await create(api, {}, key)).toMatchObject({ id, images: [{ status: 'queued' }] })
  expect((await api.take()).data).toMatchObject({ id, index: 0 })
})

it('answers 200 with the drawn image when told to wait', async () => {
  const api = await startApi()
  const answering = post(api, {}, { prefer: 'respond-async, wait=30' })
  await vi.waitFor(async () => api.succeed(await api.take()), 10_000)
  const answer = await answering
  expect(answer.statusCode).toBe(200)
  expect(answer.headers['preference-applied']).toBe('wait=30')
  expect(answer.json()).toMatchObject({ status: 'succeeded', images: [{ url: expect.any(String) }] })
})

it('answers 202 when the time to wait is up', async () => {
  const api = await startApi()
  const answer = await post(api, {}, { prefer: 'wait=1' })
  expect(answer.statusCode).toBe(202)
  expect(answer.json()).toMatchObject({ status: 'queued' })
})

it('cancels for a client that hangs up while it waits, unless it has a key to ask again with', async () => {
  const api = await startApi()
  const base = await api.app.listen({ host: '127.0.0.1', port: 0 })
  const ask = async (headers: Headers): Promise<string> => {
    const abort = new AbortController()
    const asking = fetch(`${base}/api/v1/images`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'wait=30', ...mine, ...headers },
      body: JSON.stringify(body),
      signal: abort.signal,
    })
    const listed = await vi.waitFor(async () => {
      const list = (await call(api, 'GET', '/api/v1/images?limit=1', mine)).json()
      expect(list.requests[0]?.status).toBe('queued')
      return list.requests[0].id
    }, 10_000)
    abort.abort()
    await expect(asking).rejects.toThrow('aborted')
    return listed
  }
  const left = await ask({})
  await vi.waitFor(async () => expect((await find(api, left)).status).toBe('canceled'), 10_000)
  const kept = await ask(key)
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect((await find(api, kept)).status).toBe('queued')
})

it('serves an image in the format it was asked for, under that name only', async () => {
  const api = await startApi()
  const { id } = await create(api, { format: 'jpeg' })
  await api.succeed(await api.take(), 'a jpeg')
  const { images } = await find(api, id)
  expect(images[0]?.url).toBe(`/api/v1/images/${id}/0.jpg`)
  const answer = await call(api, 'GET', images[0]!.url!)
  expect(answer.headers['content-type']).toBe('image/jpeg')
  expect(answer.body).toBe('a jpeg')
  const again = await call(api, 'GET', images[0]!.url!, { 'if-none-match': String(answer.headers.etag) })
  expect([again.statusCode, again.body]).toEqual([304, ''])
  const other = await call(api, 'GET', `/api/v1/images/${id}/0.png`)
  expect(other.json().error.message).toBe(`image 0 of ${id} is a jpeg; ask for 0.jpg`)
})

it('answers a poll without a body while nothing has changed', async () => {
  const api = await startApi()
  const { id } = await create(api)
  const url = `/api/v1/images/${id}`
  const { headers } = await call(api, 'GET', url)
  const known = { 'if-none-match': String(headers.etag) }
  const same = await call(api, 'GET', url, known)
  expect([same.statusCode, same.body]).toEqual([304, ''])
  await api.succeed(await api.take())
  const changed = await call(api, 'GET', url, known)
  expect([changed.statusCode, changed.json().status]).toEqual([200, 'succeeded'])
})
