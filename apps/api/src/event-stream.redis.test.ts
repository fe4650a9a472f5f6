import type { Image, ImagesResource } from '@sdcpu/contract'
import { fastify } from 'fastify'
import { expect, it, onTestFinished, vi } from 'vitest'
import { sendEventStream } from './event-stream.ts'
import type { Update } from './follow-images.ts'
import { startRedisProxy } from './testing/redis-proxy.ts'
import { setUp } from './testing/set-up.ts'

type Api = Awaited<ReturnType<typeof setUp>>
const eventually = <T>(check: () => T) => vi.waitFor(check, { timeout: 10_000, interval: 20 })

type Event = { name: string; id?: string; data: Partial<ImagesResource & Image> }

async function startApi(options: Parameters<typeof setUp>[1] = {}) {
  const api = await setUp(process.env, options)
  onTestFinished(() => api.close())
  return { ...api, base: await api.app.listen({ host: '127.0.0.1', port: 0 }) }
}

async function create({ app }: Api, n = 1): Promise<string> {
  const payload = { prompt: 'a red fox', size: '64x64', steps: 2, n }
  const answer = await app.inject({ method: 'POST', url: '/api/v1/images', payload })
  return answer.json().id
}

/** Follows a request and collects its events; `ended` resolves when the API ends the stream. */
async function follow(base: string, id: string, lastEventId?: string) {
  const abort = new AbortController()
  const answer = await fetch(`${base}/api/v1/images/${id}/events`, {
    signal: abort.signal,
    headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
  })
  const events: Event[] = []
  const collect = async () => {
    let text = ''
    for await (const chunk of answer.body ?? []) {
      text += new TextDecoder().decode(chunk)
      const frames = text.split('\n\n')
      text = frames.pop() ?? ''
      events.push(...frames.filter((frame) => frame.includes('data:')).map(toEvent))
    }
  }
  const ended = collect()
  ended.catch(() => {})
  return { answer, events, ended, leave: () => abort.abort() }
}

function toEvent(frame: string): Event {
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(frame)?.[1]
  return { name: field('event')!, id: field('id'), data: JSON.parse(field('data')!) }
}

async function draw(api: Api) {
  const job = await api.take()
  for (const step of [0, 1, 2]) await job.updateProgress({ begun: 1, step })
  await api.succeed(job)
}

it('tells the whole request, then each change, then the end, and ends', async () => {
  const api = await startApi()
  const id = await create(api, 2)
  const { answer, events, ended } = await follow(api.base, id)
  expect(answer.headers.get('content-type')).toBe('text/event-stream')
  await eventually(() => expect(events[0]).toMatchObject({ name: 'images', data: { id, status: 'queued' } }))
  await draw(api)
  await draw(api)
  await ended
  const steps = events
    .filter(({ name }) => name === 'image')
    .map(({ data }) => [data.index, data.status, data.step])
  expect(steps).toEqual(
    [0, 1].flatMap((index) => [
      [index, 'running', 0],
      [index, 'running', 1],
      [index, 'running', 2],
      [index, 'succeeded', undefined],
    ]),
  )
  expect(events.at(-1)).toMatchObject({ name: 'images', id: 'end', data: { id, status: 'succeeded' } })
  expect(events.find(({ data }) => data.index === 0 && data.status === 'succeeded')?.data.url).toBe(
    `/api/v1/images/${id}/0.png`,
  )
})

it('goes on after the last event a follower has seen, leaving nothing out and repeating nothing', async () => {
  const api = await startApi()
  const id = await create(api)
  const first = await follow(api.base, id)
  await eventually(() => expect(first.events.length).toBe(1))
  const job = await api.take()
  await job.updateProgress({ begun: 1, step: 0 })
  // The request itself, now running, is told after its image.
  await eventually(() => expect(first.events.map(({ data }) => data.step)).toContain(0))
  first.leave()
  await job.updateProgress({ begun: 1, step: 1 })
  const second = await follow(api.base, id, first.events.at(-1)?.id)
  await job.updateProgress({ begun: 1, step: 2 })
  await api.succeed(job)
  await second.ended
  expect(second.events.map(({ data }) => data.step ?? data.status)).toEqual([1, 2, 'succeeded', 'succeeded'])
})

it('tells a follower who has seen the end to stay away, and one with a wrong id that it is wrong', async () => {
  const api = await startApi()
  const id = await create(api)
  await draw(api)
  const late = await follow(api.base, id)
  await late.ended
  expect(late.events).toMatchObject([{ name: 'images', id: 'end', data: { status: 'succeeded' } }])
  expect((await follow(api.base, id, 'end')).answer.status).toBe(204)
  expect((await follow(api.base, id, 'yesterday')).answer.status).toBe(400)
})

it('tells of a cancel', async () => {
  const api = await startApi()
  const id = await create(api)
  const { events, ended } = await follow(api.base, id)
  await eventually(() => expect(events.length).toBe(1))
  await api.app.inject({ method: 'POST', url: `/api/v1/images/${id}/cancel` })
  await ended
  expect(events.at(-1)?.data.status).toBe('canceled')
})

it('misses nothing while Redis is away', async () => {
  const proxy = await startRedisProxy(process.env.TEST_REDIS_URL ?? '')
  onTestFinished(() => proxy.close())
  const api = await startApi({ url: proxy.url })
  await eventually(async () => expect(await create(api)).toBeDefined())
  const id = await create(api)
  let events: Event[] = []
  let lastEventId: string | undefined
  /** What a browser's EventSource does: comes back with the last id until there is no more. */
  const followToEnd = async () => {
    for (;;) {
      const follower = await follow(api.base, id, lastEventId)
      if (follower.answer.status === 204) return
      if (follower.answer.ok) {
        await follower.ended
        events = [...events, ...follower.events]
        lastEventId = events.findLast((event) => event.id)?.id
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  await (await api.take()).remove().catch(() => {}) // the first request's job
  const job = await api.take()
  await job.updateProgress({ begun: 1, step: 0 })
  const following = followToEnd()
  await eventually(async () => {
    expect((await api.app.inject(`/api/v1/images/${id}`)).json().images[0].status).toBe('running')
  })
  proxy.cut()
  await job.updateProgress({ begun: 1, step: 1 })
  await new Promise((resolve) => setTimeout(resolve, 1500))
  await job.updateProgress({ begun: 1, step: 2 })
  await api.succeed(job)
  proxy.restore()
  await following
  expect(events.at(-1)?.data.status).toBe('succeeded')
})

it('lets no more follow than there may be streams', async () => {
  const api = await startApi({ streamLimit: 1 })
  const id = await create(api)
  const { leave, events } = await follow(api.base, id)
  await eventually(() => expect(events.length).toBe(1))
  const refused = await follow(api.base, id)
  expect(refused.answer.status).toBe(429)
  leave()
  await eventually(async () => {
    const next = await follow(api.base, id)
    expect(next.answer.status).toBe(200)
    next.leave()
  })
})

it('sends a comment when nothing happens, so that no proxy takes the stream for dead', async () => {
  const app = fastify()
  onTestFinished(() => app.close())
  const over = Promise.withResolvers<void>()
  async function* silent(): AsyncGenerator<Update> {
    yield { name: 'images', data: {} as ImagesResource }
    await over.promise
  }
  app.get('/', async (_, reply) => {
    await sendEventStream(reply, silent(), { heartbeatMs: 20 })
    return reply
  })
  const answer = await fetch(await app.listen({ host: '127.0.0.1', port: 0 }))
  setTimeout(over.resolve, 300)
  expect((await answer.text()).match(/^: keepalive$/gm)?.length).toBeGreaterThan(2)
})
