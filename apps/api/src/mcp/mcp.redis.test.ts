import { createHash } from 'node:crypto'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { CallToolResult, Progress } from '@modelcontextprotocol/sdk/types.js'
import type { ImageJob, ImageResult, ImagesResource } from '@sdcpu/contract'
import type { Job } from 'bullmq'
import { expect, it, onTestFinished, vi } from 'vitest'
import { setUp } from '../testing/set-up.ts'

type Api = Awaited<ReturnType<typeof startApi>>
type Headers = Record<string, string>

const eventually = <T>(check: () => T) => vi.waitFor(check, { timeout: 20_000, interval: 20 })
const SMALL = { prompt: 'a red fox', size: '64x64', steps: 2, seed: 7 }
const TOKEN = { 'x-client-token': 'the-token-of-this-client' }

async function startApi(options: Parameters<typeof setUp>[1] = {}) {
  const api = await setUp(process.env, options)
  onTestFinished(() => api.close())
  return { ...api, base: await api.app.listen({ host: '127.0.0.1', port: 0 }) }
}

/** The official client; each of its requests goes to the next of the replicas, until it is told which. */
async function connect(replicas: { base: string }[], headers: Headers = {}) {
  const client = new Client({ name: 'test', version: '1' })
  let turn = 0
  let chosen: number | undefined
  const transport = new StreamableHTTPClientTransport(new URL(`${replicas[0]!.base}/mcp`), {
    requestInit: { headers: { ...TOKEN, ...headers } },
    fetch: (url, init) => {
      const { base } = replicas[chosen ?? turn++ % replicas.length]!
      return fetch(`${base}${new URL(url).pathname}`, init)
    },
  })
  const faults: Error[] = []
  client.onerror = (error) => faults.push(error)
  await client.connect(transport)
  onTestFinished(() => client.close())
  return {
    client,
    transport,
    faults,
    sendTo: (replica: number) => {
      chosen = replica
    },
    generate: (args: object, options: Parameters<Client['callTool']>[2] = {}) =>
      client.callTool(
        { name: 'generate_image', arguments: { ...SMALL, ...args } },
        undefined,
        options,
      ) as Promise<CallToolResult>,
  }
}

const take = async (api: Api) => eventually(() => api.take())

async function draw(api: Api, bytes = 'png') {
  const job = await take(api)
  for (const step of [0, 1, 2]) await job.updateProgress({ begun: 1, step })
  await api.succeed(job, bytes)
}

/** Fails a job for good, at the second attempt. */
async function fail(api: Api, job: Job<ImageJob, ImageResult>, reason: string) {
  await api.fail(job, reason)
  await api.fail(await take(api), reason)
}

const textOf = ({ content }: CallToolResult) =>
  content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n')
const newest = async ({ app }: Api): Promise<ImagesResource> =>
  (await app.inject({ url: '/api/v1/images?limit=1', headers: TOKEN })).json().requests[0]

it('lists its tools with the limits of the native API', async () => {
  const { client } = await connect([await startApi()])
  expect(client.getServerVersion()).toMatchObject({ name: 'stable-diffusion-cpu' })
  const { tools } = await client.listTools()
  expect(tools.map(({ name }) => name)).toEqual(['generate_image', 'list_models'])
  const { inputSchema, outputSchema } = tools[0]!
  expect(inputSchema).toMatchObject({ type: 'object', required: ['prompt'], additionalProperties: false })
  expect(inputSchema.properties).toMatchObject({
    n: { type: 'integer', minimum: 1, maximum: 8, default: 1 },
    seed: { maximum: 4_294_967_295 },
    format: { enum: ['png', 'jpeg', 'webp'], default: 'png' },
  })
  for (const hidden of ['image', 'strength', 'webhookUrl', 'expiresInSeconds'])
    expect(inputSchema.properties).not.toHaveProperty(hidden)
  expect(outputSchema?.required).toEqual(['id', 'request', 'images'])
})

it('draws: the images, a sentence on them, and the same as data', async () => {
  const api = await startApi()
  const { client, generate } = await connect([api])
  await client.listTools() // from then on the client holds data against the tool's schema
  const answering = generate({ n: 2, negativePrompt: 'yellow', format: 'webp', sampler: null })
  await draw(api, 'first')
  await draw(api, 'second')
  const result = await answering
  expect(result.isError).toBeUndefined()
  expect(result.content).toEqual([
    {
      type: 'text',
      text: 'Drawn with demo: 64x64, 2 steps, seeds 7, 8, guidance 1, sampler euler_a.\nwithout effect',
    },
    ...['first', 'second'].map((bytes) => ({
      ...{ type: 'image', mimeType: 'image/webp', data: Buffer.from(bytes).toString('base64') },
    })),
  ])
  expect(result.structuredContent).toMatchObject({
    request: { model: 'demo', size: '64x64', steps: 2, seed: 7, negativePrompt: 'yellow' },
    images: [
      { index: 0, seed: 7, status: 'succeeded', width: 64, height: 64, warnings: ['without effect'] },
      {
        index: 1,
        seed: 8,
        status: 'succeeded',
        url: expect.stringMatching(/^\/api\/v1\/images\/.+\/1\.webp$/),
      },
    ],
  })
  expect((await newest(api)).id).toBe(result.structuredContent?.id)
})

it('lists models', async () => {
  const api = await startApi()
  await api.announce({ name: 'other', maxSteps: 4 })
  const { client } = await connect([api])
  await client.listTools()
  const result = await client.callTool({ name: 'list_models', arguments: {} })
  expect(result.structuredContent).toMatchObject({
    models: [
      { name: 'demo', isDefault: true, status: 'ready', defaultSteps: 2, sizes: ['256x256'] },
      { name: 'other', isDefault: false, maxSteps: 4 },
    ],
  })
  expect(JSON.parse(textOf(result as CallToolResult))).toEqual(result.structuredContent)
})

it('tells place and steps as they come, to whom asks for progress', async () => {
  const api = await startApi()
  await api.app.inject({ method: 'POST', url: '/api/v1/images', payload: SMALL })
  const { generate } = await connect([api])
  const told: Progress[] = []
  const answering = generate({}, { onprogress: (progress) => told.push(progress) })
  await eventually(() => expect(told).toEqual([{ progress: 0, total: 4, message: expect.any(String) }]))
  const first = await take(api)
  await api.succeed(first)
  await eventually(() => expect(told.at(-1)?.progress).toBe(1))
  const job = await take(api)
  for (const step of [0, 1, 2]) {
    await job.updateProgress({ begun: 1, step })
    if (step > 0)
      await eventually(() =>
        expect(told.at(-1)).toEqual({ progress: 1 + step, total: 4, message: `step ${step} of 2` }),
      )
  }
  await api.succeed(job)
  expect((await answering).isError).toBeUndefined()
  expect(told.map(({ progress }) => progress)).toEqual([0, 1, 2, 3, 4])
})

it('serves a client from any replica, and cancels a call of one by a message to another', async () => {
  const api = await startApi()
  const { client, generate, faults, sendTo } = await connect([api, await startApi({ prefix: api.prefix })])
  for (let i = 0; i < 3; i++) expect((await client.listTools()).tools).toHaveLength(2)
  const abort = new AbortController()
  sendTo(0)
  const answering = generate({}, { signal: abort.signal })
  const job = await take(api)
  await job.updateProgress({ begun: 1, step: 1 })
  sendTo(1)
  abort.abort('no more')
  await expect(answering).rejects.toThrow('no more')
  await eventually(async () => expect((await newest(api)).status).toBe('canceled'))
  await fail(api, job, 'canceled')
  const again = generate({ prompt: 'another' })
  await draw(api)
  expect((await again).isError).toBeUndefined()
  expect(faults).toEqual([]) // no answer came to the call that was canceled
})

it('draws nothing for a call whose cancellation came first', async () => {
  const api = await startApi()
  const { transport } = await connect([api])
  const session = transport.sessionId!
  const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 0 } }
  expect((await post(api, cancel, { 'mcp-session-id': session })).status).toBe(202)
  const unanswered = await post(api, call(0), { 'mcp-session-id': session })
  expect([unanswered.status, await unanswered.text()]).toEqual([200, ''])
  await expect(api.take()).rejects.toThrow('no job waits')
  // The same number of another session is another call.
  const answering = post(api, call(0), { 'mcp-session-id': 'another' })
  await draw(api)
  expect(await (await answering).text()).toContain('"type":"image"')
})

it('cancels for a client that hangs up', async () => {
  const api = await startApi()
  const abort = new AbortController()
  const answer = await fetch(`${api.base}/mcp`, { ...message(call(1)), signal: abort.signal })
  expect(answer.headers.get('content-type')).toBe('text/event-stream') // at once, before there is anything to tell
  await take(api)
  abort.abort()
  await eventually(async () => expect((await newest(api)).status).toBe('canceled'))
})

it('answers with a fault when the service stops, and leaves nothing to draw', async () => {
  const api = await startApi()
  const { generate } = await connect([api])
  const answering = generate({})
  await take(api)
  const replica = await startApi({ prefix: api.prefix })
  await api.app.close()
  expect(textOf(await answering)).toMatch(/^The service is stopping/)
  expect((await newest(replica)).status).toBe('canceled')
})

it('tells faults in the words of the native API', async () => {
  const api = await startApi({ queueLimit: 8 })
  const { client, generate } = await connect([api])
  const told = async (args: object) => {
    const result = await generate(args)
    expect(result.isError).toBe(true)
    return textOf(result)
  }
  expect(await told({ steps: 80, n: 0 })).toBe('n is 0; the least is 1; steps is 80; the limit is 50')
  expect(await told({ steps: 9 })).toBe('steps is 9; the limit of the model demo is 8')
  expect(await told({ webhookUrl: 'https://example.com' })).toContain('webhookUrl')
  expect(await told({ model: 'none' })).toBe('there is no model "none"; there are demo')
  await expect(client.callTool({ name: 'draw' })).rejects.toThrow('there is no tool "draw"')
  const failing = generate({ n: 2 })
  await fail(api, await take(api), 'out of memory at 0x77')
  await draw(api)
  const { isError, content } = await failing
  expect([isError, content.length]).toEqual([undefined, 2]) // what could be drawn is there
  expect(textOf(await failing)).toContain('Image 1 of 2: The image could not be drawn.')
  const lone = generate({})
  await fail(api, await take(api), 'out of memory at 0x77')
  const { isError: hasFailed, ...rest } = await lone
  expect([hasFailed, textOf(rest as CallToolResult)]).toEqual([
    true,
    'The image could not be drawn. The same request may succeed another time.',
  ])
  await api.app.inject({ method: 'POST', url: '/api/v1/images', payload: { ...SMALL, n: 8 } })
  expect(await told({})).toBe(
    '8 images are waiting and the limit is 8; there is no room for 1 more. Try again in 10 s.',
  )
})

it('says when to try again, and nothing of the inside, while there is nobody to draw', async () => {
  const { generate } = await connect([await startApi({ isAnnounced: false })])
  const { isError, content } = await generate({})
  expect([isError, content]).toEqual([
    true,
    [{ type: 'text', text: 'No worker has loaded the model yet. Try again in 5 s.' }],
  ])
})

it('asks for a key before it speaks, and shows each key its own images', async () => {
  const keyed = (name: string) => ({
    name,
    sha256: createHash('sha256').update(`secret-of-${name}`).digest('hex'),
  })
  const api = await startApi({ apiKeys: [keyed('ann'), keyed('ben')] })
  for (const headers of [{}, { authorization: 'Bearer wrong' }] as Headers[]) {
    const answer = await post(api, call(1), headers)
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    await expect(connect([api], headers)).rejects.toMatchObject({ code: 401 })
  }
  const { generate, transport } = await connect([api], { authorization: 'Bearer secret-of-ann' })
  const answering = generate({})
  const job = await take(api)
  // Another key cancels nothing, though it knows session and number of the call.
  const stolen = { 'mcp-session-id': transport.sessionId!, 'x-api-key': 'secret-of-ben' }
  for (let requestId = 0; requestId < 5; requestId++)
    await post(api, { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } }, stolen)
  await api.succeed(job)
  const { structuredContent } = await answering
  const status = async (name: string) => {
    const url = `/api/v1/images/${structuredContent?.id}`
    return (await api.app.inject({ url, headers: { 'x-api-key': `secret-of-${name}` } })).statusCode
  }
  expect([await status('ann'), await status('ben')]).toEqual([200, 404])
  // A page of another site cannot know a key.
  const headers = { 'x-api-key': 'secret-of-ben', origin: 'https://chat.example' }
  expect((await post(api, { jsonrpc: '2.0', id: 1, method: 'ping' }, headers)).status).toBe(200)
})

it('is asked by no page of another site, by POST alone, and in no more streams than there may be', async () => {
  const api = await startApi({ streamLimit: 1 })
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' }
  const refused = await post(api, ping, { origin: 'https://evil.example' })
  expect([refused.status, await refused.json()]).toEqual([
    403,
    { jsonrpc: '2.0', error: { code: -32000, message: expect.stringContaining('evil.example') }, id: null },
  ])
  expect((await post(api, ping, { origin: 'http://localhost:6274' })).status).toBe(200)
  for (const method of ['GET', 'DELETE']) {
    const answer = await fetch(`${api.base}/mcp`, { method, headers: { accept: 'text/event-stream' } })
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST'])
  }
  expect((await fetch(`${api.base}/mcp`, { ...message(ping), body: '{' })).status).toBe(400)
  expect((await post(api, { hello: 1 })).status).toBe(400)
  expect((await post(api, ping, { 'mcp-protocol-version': '1999-01-01' })).status).toBe(400)
  expect((await post(api, { ...ping, params: { _meta: { padding: 'x'.repeat(70_000) } } })).status).toBe(413)
  await post(api, call(1))
  await take(api)
  const tooMany = await post(api, ping)
  expect([tooMany.status, tooMany.headers.get('retry-after')]).toEqual([429, '5'])
})

it('sends comments while it draws, so that no proxy takes the stream for dead', async () => {
  const api = await startApi()
  const { body } = await post(api, call(1))
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader()
  expect((await reader.read()).value).toBe(': keepalive\n\n')
  await reader.cancel()
}, 40_000)

const call = (id: number) => ({
  ...{ jsonrpc: '2.0', id, method: 'tools/call' },
  params: { name: 'generate_image', arguments: SMALL },
})

function message(body: object, headers: Headers = {}) {
  return {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...TOKEN,
      ...headers,
    },
    body: JSON.stringify(body),
  }
}

async function post({ base }: Api, body: object, headers: Headers = {}): Promise<Response> {
  return fetch(`${base}/mcp`, message(body, headers))
}
