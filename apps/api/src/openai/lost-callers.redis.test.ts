import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished, vi } from 'vitest'
import { setUp } from '../testing/set-up.ts'

type Api = Awaited<ReturnType<typeof setUp>>
type Asked = { answer: Promise<Response>; hangUp(): Promise<void> }

const FOX = { prompt: 'a red fox' }
const MORE_THAN_GRACE_MS = 5000

async function startApi(options: Parameters<typeof setUp>[1] = {}): Promise<{ api: Api; base: string }> {
  const api = await setUp(process.env, options)
  onTestFinished(() => api.close())
  return { api, base: await api.app.listen({ host: '127.0.0.1', port: 0 }) }
}

/** Asks for an image as a client that can hang up. */
function ask(base: string, body: object = FOX, headers: Record<string, string> = {}): Asked {
  const abort = new AbortController()
  const answer = fetch(`${base}/v1/images/generations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal: abort.signal,
  })
  return {
    answer,
    async hangUp() {
      abort.abort()
      await expect(answer).rejects.toThrow('aborted')
    },
  }
}

const idOf = async ({ answer }: Asked) => ((await (await answer).json()) as { id: string }).id
const soon = <T>(check: () => Promise<T>) => vi.waitFor(check, 10_000)
const statusOf = async ({ app }: Api, id: string) => (await app.inject(`/api/v1/images/${id}`)).json().status
const retry = (count: number) => ({ 'x-stainless-retry-count': String(count) })
/** Waits until an API has noticed that somebody hung up. */
const isLeft = ({ redis, prefix }: Api) =>
  soon(async () => expect(await redis.keys(`${prefix.replaceAll(/[{}]/g, '\\$&')}:left:*`)).toHaveLength(1))

it('cancels for a client that is gone, a moment later', async () => {
  const { api, base } = await startApi()
  const lost = ask(base, { ...FOX, stream: true })
  const { id } = (await soon(() => api.take())).data
  ;(await lost.answer).body!.cancel()
  await isLeft(api)
  expect(await statusOf(api, id)).toBe('queued')
  await soon(async () => expect(await statusOf(api, id)).toBe('canceled'))
})

it('gives a repeat, by whichever replica, the image of a caller that was lost, and does not cancel it', async () => {
  const { api, base } = await startApi()
  const replica = await startApi({ prefix: api.prefix })
  const lost = ask(base, FOX, retry(0))
  const job = await soon(() => api.take())
  await lost.hangUp()
  await isLeft(api)
  const again = ask(replica.base, FOX, retry(1))
  await sleep(MORE_THAN_GRACE_MS)
  expect(await statusOf(api, job.data.id)).toBe('queued')
  await api.succeed(job, 'a fox')
  const answer = await (await again.answer).json()
  expect(answer).toMatchObject({ id: job.data.id, data: [{ seed: job.data.seed }] })
  await expect(api.take()).rejects.toThrow('no job waits')
})

it('answers a repeat at once when the image was drawn while nobody waited', async () => {
  const { api, base } = await startApi()
  const lost = ask(base)
  const job = await soon(() => api.take())
  await lost.hangUp()
  await isLeft(api)
  await api.succeed(job, 'a fox')
  expect(await (await ask(base).answer).json()).toMatchObject({ id: job.data.id })
})

it('never gives one image to two callers, nor to one who asks for another', async () => {
  const { api, base } = await startApi()
  const parallel = [ask(base), ask(base), ask(base, FOX, retry(1))]
  const jobs = []
  for (const _ of parallel) jobs.push(await soon(() => api.take()))
  expect(new Set(jobs.map(({ data }) => data.id)).size).toBe(3)

  const lost = ask(base, { ...FOX, seed: 7 }, { 'x-client-token': 'a-secret-of-this-browser' })
  const left = await soon(() => api.take())
  await lost.hangUp()
  await isLeft(api)
  const others = [
    ask(base, { ...FOX, seed: 8 }, { 'x-client-token': 'a-secret-of-this-browser' }),
    ask(base, { ...FOX, seed: 7 }, { 'x-client-token': 'a-secret-of-another-one' }),
  ]
  const own = [
    ask(base, { ...FOX, seed: 7 }, { 'x-client-token': 'a-secret-of-this-browser' }),
    ask(base, { ...FOX, seed: 7 }, { 'x-client-token': 'a-secret-of-this-browser' }),
  ]
  // Two others, and the one of two repeats that came too late.
  for (let i = 0; i < 3; i++) jobs.push(await soon(() => api.take()))
  await expect(api.take()).rejects.toThrow('no job waits')
  for (const job of [...jobs, left]) await api.succeed(job)
  const ids = await Promise.all([...parallel, ...others, ...own].map(idOf))
  expect(new Set(ids).size).toBe(7)
  expect(ids.slice(5)).toContain(left.data.id)
})

it('cancels what nobody came back for when it is shut down', async () => {
  const { api, base } = await startApi()
  const other = await setUp(process.env, { prefix: api.prefix })
  onTestFinished(() => other.close())
  const lost = ask(base)
  const { id } = (await soon(() => api.take())).data
  await lost.hangUp()
  await isLeft(api)
  await api.app.close()
  expect(await statusOf(other, id)).toBe('canceled')
})
