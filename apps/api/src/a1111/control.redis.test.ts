import { createHash } from 'node:crypto'
import type { ImageJob, ImageResult } from '@sdcpu/contract'
import type { Job } from 'bullmq'
import { expect, it, onTestFinished, vi } from 'vitest'
import { pictureWithText } from '../testing/picture-with-text.ts'
import { setUp } from '../testing/set-up.ts'

type Api = Awaited<ReturnType<typeof setUp>>
type Headers = Record<string, string>

async function startApi(options: Parameters<typeof setUp>[1] = {}): Promise<Api> {
  const api = await setUp(process.env, options)
  onTestFinished(() => api.close())
  return api
}

const eventually = <T>(check: () => T) => vi.waitFor(check, { timeout: 10_000, interval: 20 })
const waiting = (api: Api) => eventually(() => api.take())
const noJobWaits = (api: Api) => expect(api.take()).rejects.toThrow('no job waits')
const PICTURE = await pictureWithText('x')
const BODY = { prompt: 'a red fox', width: 64, height: 64, steps: 4 }

const send = ({ app }: Api, payload: object = {}, headers: Headers = {}) =>
  app.inject({ method: 'POST', url: '/sdapi/v1/txt2img', payload: { ...BODY, ...payload }, headers })
const post = ({ app }: Api, url: string, headers: Headers = {}, payload?: object) =>
  app.inject({ method: 'POST', url, headers, ...(payload && { payload }) })
const get = async ({ app }: Api, url: string, headers: Headers = {}) =>
  (await app.inject({ url, headers })).json()
const countOf = (api: Api, headers: Headers = {}) =>
  get(api, '/sdapi/v1/progress', headers).then(({ state }) => state.job_count)
const until = (api: Api, jobCount: number, headers: Headers = {}) =>
  eventually(async () => expect(await countOf(api, headers)).toBe(jobCount))
/** Waits until so many images have a place in the queue. */
const queued = (api: Api, images: number) =>
  eventually(async () => expect((await get(api, '/api/v1/system')).models[0].queue.waiting).toBe(images))
const draw = async (job: Job<ImageJob, ImageResult>, step: number) =>
  job.updateProgress({ begun: 1, step, worker: 'w1' })
const imagesIn = (answer: { json: () => { images: string[] } }) => answer.json().images.length

const IDLE = {
  ...{ progress: 0, eta_relative: 0, current_image: null, textinfo: null, current_task: null },
  state: {
    ...{ skipped: false, interrupted: false, stopping_generation: false, job: '', job_count: 0 },
    ...{ job_timestamp: '0', job_no: 0, sampling_step: 0, sampling_steps: 0 },
  },
}

it('tells steps as they are drawn, and exactly nothing before and after', async () => {
  const api = await startApi()
  expect(await get(api, '/sdapi/v1/progress?skip_current_image=false')).toEqual(IDLE)
  const answering = send(api, { batch_size: 2, force_task_id: 'mine' })
  const [first, second] = [await waiting(api), await waiting(api)]
  expect(await get(api, '/sdapi/v1/progress')).toMatchObject({
    ...{ progress: 0, current_task: 'mine', textinfo: expect.stringMatching(/^(?:In queue: 1|Waiting...)$/) },
    state: { job: 'scripts_txt2img', job_count: 2, job_timestamp: expect.stringMatching(/^20\d{12}$/) },
  })
  await api.succeed(first, PICTURE)
  await draw(second, 2)
  expect(await get(api, '/sdapi/v1/progress')).toMatchObject({
    ...{ progress: 0.75, textinfo: null },
    state: { job_count: 2, job_no: 1, sampling_step: 2, sampling_steps: 4 },
  })
  await api.succeed(second, PICTURE)
  expect(imagesIn(await answering)).toBe(2)
  expect(await get(api, '/sdapi/v1/progress')).toEqual(IDLE)
})

it('tells of one task by the id its client gave it, waiting, drawn and ended', async () => {
  const api = await startApi()
  const ask = (id_task: string) =>
    post(api, '/internal/progress', {}, { id_task, id_live_preview: -1, live_preview: true })
  expect((await ask('mine')).json()).toMatchObject({ active: false, queued: false, completed: false })
  const answering = send(api, { force_task_id: 'mine' })
  await until(api, 1)
  expect((await ask('mine')).json()).toMatchObject({ active: false, queued: true, completed: false })
  expect(await get(api, '/internal/pendingTasks')).toEqual({ size: 1, tasks: ['mine'] })
  const job = await waiting(api)
  await draw(job, 1)
  const active = { active: true, queued: false, completed: false, progress: 0.25, live_preview: null }
  expect((await ask('mine')).json()).toMatchObject(active)
  expect(await get(api, '/internal/progress?id_task=mine')).toMatchObject(active)
  expect(await get(api, '/internal/pendingTasks')).toEqual({ size: 0, tasks: [] })
  await api.succeed(job, PICTURE)
  await answering
  const ended = { active: false, queued: false, completed: true, progress: null, id_live_preview: -1 }
  expect((await ask('mine')).json()).toMatchObject(ended)
  expect((await ask('another')).json()).toMatchObject({ active: false, queued: false, completed: false })
})

it('answers an interrupted request with 200 and what was drawn of it', async () => {
  const api = await startApi()
  const half = send(api, { batch_size: 2, seed: 5 })
  await api.succeed(await waiting(api), PICTURE)
  await draw(await waiting(api), 1)
  expect((await post(api, '/sdapi/v1/interrupt')).json()).toEqual({})
  const answer = await half
  expect([answer.statusCode, imagesIn(answer)]).toEqual([200, 1])
  expect(JSON.parse(answer.json().info)).toMatchObject({ seed: 5, all_seeds: [5] })

  const none = send(api)
  await until(api, 1)
  await post(api, '/sdapi/v1/interrupt', { 'content-type': 'application/json' }) // and no body, as scripts send it
  expect([(await none).statusCode, imagesIn(await none)]).toEqual([200, 0])
  await noJobWaits(api)
})

it('interrupts the task that is named, by query or body, and no other', async () => {
  const api = await startApi()
  const [a, b, c] = ['a', 'b', 'c'].map((force_task_id) => send(api, { force_task_id }))
  await until(api, 3)
  await post(api, '/sdapi/v1/interrupt?id_task=a')
  await post(api, '/sdapi/v1/interrupt', {}, { force_task_id: 'c' })
  expect([imagesIn(await a!), imagesIn(await c!)]).toEqual([0, 0])
  expect((await get(api, '/sdapi/v1/progress?id_task=b')).state.job_count).toBe(1)
  expect((await get(api, '/sdapi/v1/progress?id_task=a')).state.job_count).toBe(0)
  await api.succeed(await waiting(api), PICTURE)
  expect(imagesIn(await b!)).toBe(1)
})

it('skips what is drawn, and goes on with what waits', async () => {
  const api = await startApi()
  const answering = send(api, { n_iter: 2, seed: 5 })
  const first = await waiting(api)
  await draw(first, 1)
  const skipped = await post(api, '/sdapi/v1/skip')
  expect([skipped.statusCode, skipped.headers['content-type'], skipped.body]).toEqual([
    200,
    'application/json; charset=utf-8',
    'null',
  ])
  await api.succeed(await waiting(api), PICTURE)
  const { images, info } = (await answering).json()
  expect([images.length, JSON.parse(info).all_seeds]).toEqual([1, [6]])
})

const keys = ['alice', 'bob'].map((name) => ({
  name,
  sha256: createHash('sha256').update(`secret-of-${name}`).digest('hex'),
}))
const basic = (text: string): Headers => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })
const user = (id: string): Headers => ({ ...basic('webui:secret-of-alice'), 'x-openwebui-user-id': id })
const CALLERS: [string, Parameters<typeof setUp>[1], [Headers, Headers]][] = [
  ['keys', { apiKeys: keys }, [basic('a:secret-of-alice'), basic('a:secret-of-bob')]],
  ['the users of one key', { apiKeys: [{ ...keys[0]!, forwardsUsers: true }] }, [user('one'), user('two')]],
  ['tokens', {}, [{ 'x-client-token': 'the-token-of-alice' }, { 'x-client-token': 'the-token-of-bob' }]],
  ['addresses', {}, [{ 'x-forwarded-for': '203.0.113.7' }, { 'x-forwarded-for': '203.0.113.8' }]],
]
it.each(CALLERS)(
  'lets callers told apart by %s see and stop their own requests only',
  async (_, options, callers) => {
    const api = await startApi(options)
    const [alice, bob] = callers
    const [ofAlice, ofBob] = [
      send(api, { force_task_id: 'same' }, alice),
      send(api, { force_task_id: 'same' }, bob),
    ]
    await until(api, 1, alice)
    await until(api, 1, bob)
    await post(api, '/sdapi/v1/skip', bob)
    await post(api, '/sdapi/v1/interrupt?id_task=same', bob)
    expect(imagesIn(await ofBob)).toBe(0)
    expect([await countOf(api, alice), await countOf(api, bob)]).toEqual([1, 0])
    expect(await get(api, '/internal/pendingTasks', bob)).toEqual({ size: 0, tasks: [] })
    await api.succeed(await waiting(api), PICTURE)
    expect(imagesIn(await ofAlice)).toBe(1)
  },
)

it('cancels the request whose connection is dropped, and only that', async () => {
  const api = await startApi()
  const base = await api.app.listen({ host: '127.0.0.1', port: 0 })
  const hangUp = new AbortController()
  const dropped = fetch(`${base}/sdapi/v1/txt2img`, {
    ...{ method: 'POST', signal: hangUp.signal, body: JSON.stringify(BODY) },
    headers: { 'content-type': 'application/json' },
  })
  await until(api, 1)
  const kept = send(api)
  await until(api, 2)
  hangUp.abort()
  await expect(dropped).rejects.toThrow()
  await until(api, 1)
  await api.succeed(await waiting(api), PICTURE)
  expect(imagesIn(await kept)).toBe(1)
  await noJobWaits(api)
})

it('holds what the queue has no room for until it has, tells so, and draws it then', async () => {
  const api = await startApi({ queueLimit: 1 })
  const first = send(api)
  await queued(api, 1)
  const held = send(api, { force_task_id: 'held' })
  await until(api, 2)
  expect(await get(api, '/internal/progress?id_task=held')).toMatchObject({
    ...{ active: false, queued: true, completed: false, textinfo: 'Waiting for room in the queue' },
  })
  await api.succeed(await waiting(api), PICTURE)
  expect(imagesIn(await first)).toBe(1)
  await api.succeed(await waiting(api), PICTURE)
  expect(imagesIn(await held)).toBe(1)
})

it('gives up what it holds when it is interrupted, or whoever waits for it is gone', async () => {
  const api = await startApi({ queueLimit: 1 })
  const base = await api.app.listen({ host: '127.0.0.1', port: 0 })
  const first = send(api)
  await queued(api, 1)
  const held = send(api, { force_task_id: 'held' })
  const hangUp = new AbortController()
  const dropped = fetch(`${base}/sdapi/v1/txt2img`, {
    ...{ method: 'POST', signal: hangUp.signal, body: JSON.stringify(BODY) },
    headers: { 'content-type': 'application/json' },
  })
  await until(api, 3)
  hangUp.abort()
  await expect(dropped).rejects.toThrow()
  await until(api, 2)
  await post(api, '/sdapi/v1/interrupt?id_task=held')
  const answer = await held
  expect([answer.statusCode, imagesIn(answer)]).toEqual([200, 0])
  expect(JSON.parse(answer.json().info)).toMatchObject({ width: 64, steps: 4, all_seeds: [] })
  await api.succeed(await waiting(api), PICTURE)
  expect(imagesIn(await first)).toBe(1)
  await noJobWaits(api)
})

it('refuses what it has held for as long as it may, with when to come back', async () => {
  const api = await startApi({ queueLimit: 1, holdMs: 300 })
  const first = send(api)
  await queued(api, 1)
  const answer = await send(api)
  expect([answer.statusCode, answer.json().detail]).toEqual([
    429,
    '1 images are waiting and the limit is 1; there is no room for 1 more',
  ])
  expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
  await post(api, '/sdapi/v1/interrupt')
  await first
})

it('waits for a model that no worker has announced yet', async () => {
  const api = await startApi({ isAnnounced: false })
  const answering = send(api)
  await until(api, 1)
  await api.announce()
  await api.succeed(await waiting(api), PICTURE)
  expect(imagesIn(await answering)).toBe(1)
})

it('sends spaces while it is waited for, and then JSON, or the error in its shape', async () => {
  const api = await startApi({ heartbeatMs: 50 })
  const slow = send(api)
  const job = await waiting(api)
  await new Promise((resolve) => setTimeout(resolve, 200))
  await api.succeed(job, PICTURE)
  const answer = await slow
  expect(answer.statusCode).toBe(200)
  expect(answer.headers).toMatchObject({
    ...{ 'content-type': 'application/json; charset=utf-8', 'x-accel-buffering': 'no' },
  })
  expect(answer.body).toMatch(/^ {2,}\{"images":\["/)
  expect(imagesIn(answer)).toBe(1)

  const failing = send(api)
  for (let attempt = 0; attempt < 2; attempt++) {
    const taken = await waiting(api)
    await new Promise((resolve) => setTimeout(resolve, 100))
    await api.fail(taken, 'generation_failed')
  }
  const failed = await failing
  expect([failed.statusCode, failed.json().error]).toEqual([200, 'HTTPException'])
})
