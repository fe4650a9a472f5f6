import { expect, it, onTestFinished, vi } from 'vitest'
import { setUp } from '../testing/set-up.ts'

type Api = Awaited<ReturnType<typeof setUp>>
// biome-ignore lint/suspicious/noExplicitAny: what is read of it is checked.
type Event = { event: string; data: any }

async function startApi(options: Parameters<typeof setUp>[1] = {}): Promise<Api> {
  const api = await setUp(process.env, options)
  onTestFinished(() => api.close())
  return api
}

const takeSoon = (api: Api) => vi.waitFor(() => api.take(), 10_000)

/** Asks for a stream and gives its frames as they come. */
async function openStream(api: Api, body: object) {
  const base = await api.app.listen({ host: '127.0.0.1', port: 0 })
  const answer = await fetch(`${base}/v1/images/generations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'a red fox', stream: true, ...body }),
  })
  const frames = readFrames(answer)
  return {
    answer,
    async next(): Promise<Event> {
      for (;;) {
        const { value = '' } = await frames.next()
        if (value.startsWith(':')) continue
        const [, event, data] = /^event: (.*)\ndata: (.*)$/.exec(value)!
        return { event: event!, data: JSON.parse(data!) }
      }
    },
    frames,
  }
}

async function* readFrames(answer: Response): AsyncGenerator<string, undefined> {
  let text = ''
  for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      yield text.slice(0, end)
      text = text.slice(end + 2)
    }
  }
}

const ofBase64 = (text: string) => Buffer.from(text, 'base64').toString()
const brief = ({ event, data }: Event) => [event, data.image_index, ofBase64(data.b64_json)]

it('shows the running picture as often as it is asked to, and then the picture', async () => {
  const api = await startApi()
  const stream = await openStream(api, { partial_images: 3, steps: 4, seed: 7, output_format: 'webp' })
  expect(stream.answer.headers.get('content-type')).toBe('text/event-stream')
  const job = await takeSoon(api)
  expect(job.data).toMatchObject({ previews: 3, steps: 4 })
  for (const step of [1, 2, 3]) {
    await api.show(job, step, `after ${step}`)
    expect(await stream.next()).toEqual({
      event: 'image_generation.partial_image',
      data: {
        ...{ type: 'image_generation.partial_image', partial_image_index: step - 1, image_index: 0 },
        ...{ created_at: expect.any(Number), size: '256x256', output_format: 'webp' },
        ...{ b64_json: Buffer.from(`after ${step}`).toString('base64') },
        ...{ quality: 'auto', background: 'opaque' },
      },
    })
  }
  await api.succeed(job, 'a fox')
  const { event, data } = await stream.next()
  expect([event, data.type, ofBase64(data.b64_json)]).toEqual([
    'image_generation.completed',
    'image_generation.completed',
    'a fox',
  ])
  expect(data).toMatchObject({ image_index: 0, seed: 7, usage: { input_tokens: 3, total_tokens: 3 } })
  expect((await stream.frames.next()).done).toBe(true)
})

it('sends no preview twice, none after its picture, and pictures in their order', async () => {
  const api = await startApi()
  const stream = await openStream(api, { partial_images: 1, n: 2 })
  const [first, second] = [await takeSoon(api), await takeSoon(api)]
  await api.show(second, 1, 'second so far')
  expect(brief(await stream.next())).toEqual(['image_generation.partial_image', 1, 'second so far'])
  await api.show(second, 1, 'second so far') // by a worker that began it again
  await api.succeed(second, 'second')
  await vi.waitFor(async () => {
    const found = (await api.app.inject(`/api/v1/images/${second.data.id}`)).json()
    expect(found.images[1].status).toBe('succeeded')
  })
  await api.show(first, 1, 'first so far')
  expect(brief(await stream.next())).toEqual(['image_generation.partial_image', 0, 'first so far'])
  await api.succeed(first, 'first')
  expect(brief(await stream.next())).toEqual(['image_generation.completed', 0, 'first'])
  expect(brief(await stream.next())).toEqual(['image_generation.completed', 1, 'second'])
  expect((await stream.frames.next()).done).toBe(true)
})

it.each([{ partial_images: 0 }, {}])(
  'sends the picture alone with %j, and comments until then',
  async (body) => {
    const api = await startApi({ heartbeatMs: 50 })
    const stream = await openStream(api, body)
    const job = await takeSoon(api)
    expect(job.data).not.toHaveProperty('previews')
    expect((await stream.frames.next()).value).toBe(': keepalive')
    await api.succeed(job, 'a fox')
    expect(brief(await stream.next())).toEqual(['image_generation.completed', 0, 'a fox'])
    expect((await stream.frames.next()).done).toBe(true)
  },
)

it('sends what was drawn, and then what went wrong with the rest', async () => {
  const api = await startApi()
  const stream = await openStream(api, { n: 2 })
  const [first, second] = [await takeSoon(api), await takeSoon(api)]
  await api.succeed(second, 'second')
  await api.fail(first, 'generation_failed')
  await api.fail(await takeSoon(api), 'generation_failed') // its second try
  expect(brief(await stream.next())).toEqual(['image_generation.completed', 1, 'second'])
  expect(await stream.next()).toMatchObject({
    event: 'error',
    data: { type: 'error', error: { type: 'server_error', code: 'generation_failed', param: null } },
  })
  expect((await stream.frames.next()).done).toBe(true)
})

it('answers what is wrong with the request itself by its status', async () => {
  const api = await startApi()
  const { answer } = await openStream(api, { n: 9 })
  expect(answer.status).toBe(400)
})
