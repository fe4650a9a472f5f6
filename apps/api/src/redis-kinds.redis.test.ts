import {
  type RedisServer,
  startCluster,
  startProtectedRedis,
  startRedisServer,
  startSentinel,
} from '@sdcpu/redis/testing'
import { expect, it, onTestFinished, vi } from 'vitest'
import { setUp } from './testing/set-up.ts'

type Api = Awaited<ReturnType<typeof setUp>>

const eventually = <T>(check: () => T) => vi.waitFor(check, { timeout: 40_000, interval: 100 })

async function startApi(start: () => Promise<RedisServer>): Promise<{ api: Api; server: RedisServer }> {
  const server = await start()
  onTestFinished(() => server.stop())
  const api = await setUp(process.env, { server: server.env })
  onTestFinished(() => api.close())
  await eventually(async () => expect((await api.app.inject('/readyz')).statusCode).toBe(200))
  return { api, server }
}

async function create({ app }: Api): Promise<string> {
  const payload = { prompt: 'a red fox', size: '64x64', steps: 2 }
  const headers = { 'x-client-token': 'a-secret-of-this-browser', 'idempotency-key': crypto.randomUUID() }
  const answer = await app.inject({ method: 'POST', url: '/api/v1/images', payload, headers })
  expect(answer.statusCode).toBe(202)
  return answer.json().id
}

const statusOf = async ({ app }: Api, id: string) => (await app.inject(`/api/v1/images/${id}`)).json().status

/** Everything the API does with Redis, once. */
async function useAll(api: Api): Promise<void> {
  const base = await api.app.listen({ host: '127.0.0.1', port: 0 })
  const id = await create(api)
  const following = fetch(`${base}/api/v1/images/${id}/events`).then((answer) => answer.text())
  const job = await api.take()
  await job.updateProgress({ begun: 1, step: 1 })
  await api.succeed(job)
  expect(await statusOf(api, id)).toBe('succeeded')
  expect((await api.app.inject(`/api/v1/images/${id}/0.png`)).body).toBe('png')
  expect(await following).toContain('event: images\nid: end\n')

  const canceled = await create(api)
  const cancel = { method: 'POST', url: `/api/v1/images/${canceled}/cancel` } as const
  expect((await api.app.inject(cancel)).json().status).toBe('canceled')
  const headers = { 'x-client-token': 'a-secret-of-this-browser' }
  const listed = (await api.app.inject({ url: '/api/v1/images', headers })).json()
  expect(listed.requests.map((request: { id: string }) => request.id)).toEqual([canceled, id])
  expect((await api.app.inject({ method: 'DELETE', url: `/api/v1/images/${id}` })).statusCode).toBe(204)
  expect((await api.app.inject('/api/v1/system')).json().models[0].queue.waiting).toBe(0)
}

it('works over TLS with certificates on both sides and an ACL user', async () => {
  const { api } = await startApi(startProtectedRedis)
  await useAll(api)
})

it('works with a cluster of three', async () => {
  const { api } = await startApi(startCluster)
  await useAll(api)
})

it('works with Sentinel, answers 503 while the server is dead, and goes on with its heir', async () => {
  const { api, server } = await startApi(startSentinel)
  await useAll(api)
  const id = await create(api)
  await new Promise((resolve) => setTimeout(resolve, 500)) // for the replica to hear of it
  await server.kill()
  const away = await api.app.inject(`/api/v1/images/${id}`)
  expect(away.statusCode).toBe(503)
  expect(away.headers['retry-after']).toBe('2')
  await eventually(async () => expect(await statusOf(api, id)).toBe('queued'))
  await eventually(async () => create(api))
})

it('loses nothing it accepted when a server with an append-only file is killed and comes back', async () => {
  const { api, server } = await startApi(() => startRedisServer({ appendOnly: true }))
  const ids = [await create(api), await create(api)]
  await server.kill()
  const payload = { prompt: 'a red fox', size: '64x64', steps: 2 }
  const refused = await api.app.inject({ method: 'POST', url: '/api/v1/images', payload })
  expect([refused.statusCode, refused.headers['retry-after']]).toEqual([503, '2'])
  await server.restart()
  await eventually(async () => expect(await statusOf(api, ids[0]!)).toBe('queued'))
  const jobs = [await eventually(() => api.take()), await api.take()]
  expect(jobs.map(({ data }) => data.id)).toEqual(ids)
})
