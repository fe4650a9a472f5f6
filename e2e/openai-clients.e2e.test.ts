import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateImage } from 'ai'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { findPython } from '../scripts/python-environment.ts'
import { type Service, startService } from '../scripts/service.ts'

const PYTHON = join(import.meta.dirname, 'python')
const PROMPT = 'a panda on a blue background'
const SMALL = { prompt: PROMPT, size: '128x128' } as const
const FAST = { seed: 7, steps: 2 }
// What keeps a worker busy for seconds.
const SLOW = { prompt: 'a slow picture', size: '768x768', steps: 8 }
const QUEUE_LIMIT = 8 // the least the API takes, so that the queue is soon full
const DRAW_MS = 90_000 // a second or so on a free machine; test machines are not free
const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])

let service: Service
let base: string
/** With OpenAI's client. */
let python: string
/** What the native API draws from the seeds 7 and 8. */
let native: string[]

beforeAll(async () => {
  python = await findPython(join(PYTHON, 'requirements.txt'), console.log)
  service = await startService({ workers: 1, env: { QUEUE_LIMIT: String(QUEUE_LIMIT) } })
  base = `${service.api}/v1`
  native = await drawNatively({ ...SMALL, ...FAST, n: 2 })
})
afterAll(() => service?.stop())

const clientOf = (options: object = {}) =>
  new OpenAI({ baseURL: base, apiKey: 'unused', timeout: DRAW_MS, ...options })
const token = (name: string) => ({ 'x-client-token': `a-secret-of-${name}` })

it('draws for OpenAI’s Node client what the native API draws', async () => {
  const { data, size, created } = await clientOf().images.generate(plus({ ...SMALL, n: 2 }, FAST))
  expect(data!.map(({ b64_json }) => digest(ofBase64(b64_json)))).toEqual(native)
  expect(size).toBe('128x128')
  expect(Math.abs(created - Date.now() / 1000)).toBeLessThan(DRAW_MS / 1000)

  const byUrl = await clientOf().images.generate(plus({ ...SMALL, response_format: 'url' }, FAST))
  const answer = await fetch(byUrl.data![0]!.url!)
  expect(digest(Buffer.from(await answer.arrayBuffer()))).toBe(native[0])
})

it('lets OpenAI’s Node client watch, and changes nothing of the picture', async () => {
  const four = { seed: 7, steps: 4 }
  const stream = await clientOf().images.generate(plus({ ...SMALL, stream: true, partial_images: 3 }, four))
  const partial: Buffer[] = []
  const drawn: Buffer[] = []
  for await (const event of stream) {
    if (event.type === 'image_generation.completed') drawn.push(ofBase64(event.b64_json))
    else expect(event.partial_image_index).toBe(partial.push(ofBase64(event.b64_json)) - 1)
  }
  expect(partial.length).toBeGreaterThanOrEqual(1)
  expect(partial.length).toBeLessThanOrEqual(3)
  for (const file of partial) expect(file.subarray(0, 8)).toEqual(PNG_SIGNATURE)
  expect(new Set([...partial, ...drawn].map(digest)).size).toBe(partial.length + 1)
  expect(drawn.map(digest)).toEqual(await drawNatively({ ...SMALL, ...four }))
})

it('draws for OpenAI’s Node client from an image what the native API draws', async () => {
  const [file] = await drawFiles({ ...SMALL, seed: 3, steps: 1 })
  const settings = { seed: 7, steps: 4, strength: 0.5 }
  const { data } = await clientOf().images.edit(
    plus({ ...SMALL, image: await toFile(file!, 'panda.png') }, settings),
  )
  const image = file!.toString('base64')
  expect([digest(ofBase64(data![0]!.b64_json))]).toEqual(await drawNatively({ ...SMALL, ...settings, image }))
})

it('lists its models to OpenAI’s Node client', async () => {
  const names = []
  for await (const { id } of clientOf().models.list()) names.push(id)
  expect(names).toEqual(['demo'])
  expect(await clientOf().models.retrieve('demo')).toMatchObject({ id: 'demo', object: 'model' })
})

it('tells OpenAI’s Node client what is wrong in its own classes, without a second try', async () => {
  let tries = 0
  const client = clientOf({
    fetch: (url: string, init: RequestInit) => {
      tries++
      return fetch(url, init)
    },
  })
  const asking = client.images.generate({ ...SMALL, n: 9 })
  await expect(asking).rejects.toBeInstanceOf(OpenAI.BadRequestError)
  await expect(asking).rejects.toMatchObject({
    ...{ status: 400, code: 'invalid_request', param: 'n', type: 'invalid_request_error' },
    requestID: expect.stringMatching(/^[\w-]{36}$/),
  })
  const unknown = client.images.generate({ ...SMALL, model: 'midjourney' })
  await expect(unknown).rejects.toBeInstanceOf(OpenAI.NotFoundError)
  await expect(unknown).rejects.toMatchObject({ code: 'model_not_found', param: 'model' })
  expect(tries).toBe(2)
})

it('has OpenAI’s Node client wait while the queue is full, and draws then', async () => {
  const mine = token('who-fills-the-queue')
  const statuses: number[] = []
  const client = clientOf({
    maxRetries: 10,
    fetch: async (url: string, init: RequestInit) => {
      const answer = await fetch(url, init)
      statuses.push(answer.status)
      if (answer.status === 429) {
        const waitSeconds = Number(answer.headers.get('retry-after'))
        expect(waitSeconds).toBeGreaterThanOrEqual(1)
        expect(waitSeconds).toBeLessThanOrEqual(60)
        for (const { id } of await listed(mine)) await cancel(id)
      }
      return answer
    },
  })
  while ((await post({ ...SLOW, size: '512x512', n: 4 }, mine)).status === 202);
  const { data } = await client.images.generate(plus(SMALL, FAST))
  expect(digest(ofBase64(data![0]!.b64_json))).toBe(native[0])
  expect(statuses[0]).toBe(429)
  expect(statuses.at(-1)).toBe(200)
})

it('cancels when OpenAI’s Node client is told to abort', async () => {
  const mine = token('who-changes-their-mind')
  const abort = new AbortController()
  const asking = clientOf({ defaultHeaders: mine }).images.generate(
    // More than is drawn in the time that a repeat is waited for.
    plus({ prompt: SLOW.prompt, size: '1024x1024', n: 4 }, { steps: 8 }),
    { signal: abort.signal },
  )
  await vi.waitFor(async () => expect((await listed(mine))[0]?.status).toBe('running'), DRAW_MS)
  abort.abort()
  await expect(asking).rejects.toBeInstanceOf(OpenAI.APIUserAbortError)
  await vi.waitFor(
    async () => expect((await listed(mine))[0]?.images.at(-1)?.status).toBe('canceled'),
    DRAW_MS,
  )
})

it('gives OpenAI’s Node client that lost its connection and tries again the picture it waited for', async () => {
  const mine = token('who-lost-the-connection')
  const retries: (string | null)[] = []
  const client = clientOf({
    defaultHeaders: mine,
    fetch: async (url: string, init: RequestInit) => {
      retries.push(new Headers(init.headers).get('x-stainless-retry-count'))
      if (retries.length > 1) return fetch(url, init)
      const connection = new AbortController()
      const answer = fetch(url, { ...init, signal: connection.signal })
      await vi.waitFor(async () => expect((await listed(mine))[0]?.status).toBe('running'), DRAW_MS)
      connection.abort()
      return answer
    },
  })
  const { data } = await client.images.generate(plus({ prompt: SLOW.prompt, size: '768x768' }, { steps: 8 }))
  expect(retries).toEqual(['0', '1'])
  const requests = await listed(mine)
  expect(requests.map(({ status }) => status)).toEqual(['succeeded'])
  const drawn = await fetch(new URL(requests[0]!.images[0]!.url!, service.api))
  expect(digest(Buffer.from(await drawn.arrayBuffer()))).toBe(digest(ofBase64(data![0]!.b64_json)))
})

it('draws for OpenAI’s Python client what the native API draws', async () => {
  const run = promisify(execFile)
  const { stdout } = await run(python, [join(PYTHON, 'openai_client.py'), base, '7'])
  const told = JSON.parse(stdout)
  expect(told).toMatchObject({
    ...{ models: ['demo'], model: 'demo', plain: native, size: '128x128', url: native[0] },
    errors: {
      n: { type: 'BadRequestError', status: 400, code: 'invalid_request', param: 'n', has_request_id: true },
      model: { type: 'NotFoundError', status: 404, code: 'model_not_found', param: 'model' },
    },
  })
  expect(told.events.at(-1)).toEqual({ type: 'image_generation.completed', digest: native[0] })
  expect(told.events.slice(0, -1)).toEqual([
    { type: 'image_generation.partial_image', digest: expect.not.stringContaining(native[0]!) },
  ])
  const [plain] = await drawFiles({ ...SMALL, ...FAST })
  const image = plain!.toString('base64')
  expect([told.edited]).toEqual(await drawNatively({ ...SMALL, ...FAST, strength: 0.5, image }))
})

it('draws for the Vercel AI SDK what the native API draws', async () => {
  const provider = createOpenAICompatible({ name: 'local', baseURL: base, apiKey: 'unused' })
  const model = provider.imageModel('demo')
  const { images } = await generateImage({ model, ...SMALL, n: 2, providerOptions: { local: FAST } })
  expect(images.map(({ uint8Array }) => digest(uint8Array))).toEqual(native)

  const [file] = await drawFiles({ ...SMALL, seed: 3, steps: 1 })
  const settings = { seed: 7, steps: 4, strength: 0.5 }
  const edited = await generateImage({
    ...{ model, size: '128x128', providerOptions: { local: settings } },
    prompt: { text: PROMPT, images: [file!] },
  })
  const image = file!.toString('base64')
  expect([digest(edited.image.uint8Array)]).toEqual(await drawNatively({ ...SMALL, ...settings, image }))
})

// What Open WebUI's engine "openai" sends: routers/images.py of open-webui/open-webui at 02530d5 and in 0.12.4.
const OPEN_WEBUI = {
  authorization: 'Bearer sk-anything',
  'X-OpenWebUI-User-Name': 'Alice%20A',
  'X-OpenWebUI-User-Id': '0a5f',
  'X-OpenWebUI-User-Email': 'alice@example.com',
  'X-OpenWebUI-User-Role': 'user',
}

it.each([
  ['a model of its list, by name', { model: 'dall-e-3', response_format: 'b64_json' }],
  ['a model that it asks no format of', { model: 'gpt-image-1.5' }],
  [
    'the model’s own name, and parameters of the admin',
    { model: 'demo', response_format: 'b64_json', ...FAST },
  ],
])('answers what Open WebUI asks to generate with %s', async (_, settings) => {
  const answer = await fetch(`${base}/images/generations?api-version=2025-04-01-preview`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...OPEN_WEBUI },
    body: JSON.stringify({ prompt: PROMPT, n: 1, size: '128x128', ...settings }),
  })
  expect(answer.status).toBe(200)
  // It reads `url` first, and saves what is not a data URL as PNG.
  const { data } = (await answer.json()) as { data: { url?: string; b64_json: string }[] }
  expect(data.map(({ url }) => url)).toEqual([undefined])
  const file = ofBase64(data[0]!.b64_json)
  expect(file.subarray(0, 8)).toEqual(PNG_SIGNATURE)
  if ('seed' in settings) expect(digest(file)).toBe(native[0])
})

it.each(['image', 'image[]'])('answers what Open WebUI asks to edit, with its file as %s', async (name) => {
  const [file] = await drawFiles({ ...SMALL, seed: 3, steps: 1 })
  const form = new FormData()
  for (const [field, value] of Object.entries({
    model: 'gpt-image-1',
    prompt: PROMPT,
    n: '1',
    size: '128x128',
  }))
    form.append(field, value)
  form.append(name, new Blob([new Uint8Array(file!)], { type: 'image/png' }), '2d0f-11.png')
  const answer = await fetch(`${base}/images/edits`, { method: 'POST', headers: OPEN_WEBUI, body: form })
  expect(answer.status).toBe(200)
  const { data } = (await answer.json()) as { data: { b64_json: string }[] }
  expect(ofBase64(data[0]!.b64_json).subarray(0, 8)).toEqual(PNG_SIGNATURE)
})

type Listed = { id: string; status: string; images: { status: string; url?: string }[] }

/** A body with fields that OpenAI's types do not know. */
function plus<Body extends object>(body: Body, extra: object): Body {
  return { ...body, ...extra }
}

function ofBase64(text: string | undefined): Buffer {
  return Buffer.from(text ?? '', 'base64')
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function post(body: object, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${service.api}/api/v1/images`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
}

async function listed(headers: Record<string, string>): Promise<Listed[]> {
  const answer = await fetch(`${service.api}/api/v1/images`, { headers })
  return ((await answer.json()) as { requests: Listed[] }).requests
}

async function cancel(id: string): Promise<void> {
  await fetch(`${service.api}/api/v1/images/${id}/cancel`, { method: 'POST' })
}

/** Draws by the native API. */
async function drawFiles(body: object): Promise<Buffer[]> {
  const answer = await post(body, { prefer: 'wait=60' })
  const { images } = (await answer.json()) as Listed
  expect(answer.status).toBe(200)
  return Promise.all(
    images.map(async ({ url }) => Buffer.from(await (await fetch(new URL(url!, service.api))).arrayBuffer())),
  )
}

async function drawNatively(body: object): Promise<string[]> {
  return (await drawFiles(body)).map(digest)
}
