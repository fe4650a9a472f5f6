import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { CallToolResult, Progress } from '@modelcontextprotocol/sdk/types.js'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { createChildren, findProgram } from '../scripts/child-processes.ts'
import { type Service, startService } from '../scripts/service.ts'

const PAGE = join(import.meta.dirname, '../docs/clients.md')
const KEY = 'a-key-of-this-test'
const SMALL = { prompt: 'a panda on a blue background', seed: 7, size: '128x128', steps: 4 }
// Slow enough for the demo model that a cancellation falls into the drawing.
const SLOW = { prompt: 'a panda', seed: 7, size: '768x768', steps: 8 }
const DRAW_MS = 60_000

const children = createChildren()
let service: Service
let dir: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sdcpu-clients-'))
  const sha256 = createHash('sha256').update(KEY).digest('hex')
  service = await startService({ workers: 1, env: { API_KEYS: JSON.stringify([{ name: 'test', sha256 }]) } })
})
afterAll(async () => {
  await children.stopAll()
  await service?.stop()
  await rm(dir, { recursive: true, force: true })
})

it('draws for an MCP client, with progress, byte for byte what the native API draws', async () => {
  const { client, generate } = await connect()
  const { tools } = await client.listTools()
  expect(tools.map(({ name }) => name)).toEqual(['generate_image', 'list_models'])
  const { structuredContent } = await client.callTool({ name: 'list_models' })
  expect(structuredContent).toMatchObject({ models: [{ name: 'demo', status: 'ready' }] })

  const told: Progress[] = []
  const { content } = await generate({ ...SMALL, n: 2 }, { onprogress: (progress) => told.push(progress) })
  expect(content.map(({ type }) => type)).toEqual(['text', 'image', 'image'])
  expect(content[0]).toMatchObject({ text: expect.stringContaining('128x128, 4 steps, seeds 7, 8,') })
  const numbers = told.map(({ progress }) => progress)
  expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b))
  expect(
    told.filter(({ message }) => /^image \d of 2, step \d of 4$/.test(message ?? '')).length,
  ).toBeGreaterThan(1)

  const native = await ask('/api/v1/images', { ...SMALL, n: 2 }, { prefer: 'wait=60' })
  for (const [index, part] of content.slice(1).entries()) {
    const png = Buffer.from(await (await call(`/api/v1/images/${native.id}/${index}.png`)).arrayBuffer())
    expect(png.subarray(1, 4).toString()).toBe('PNG')
    expect(part).toMatchObject({ mimeType: 'image/png', data: png.toString('base64') })
  }
})

it('frees the worker when an MCP client cancels in the middle of a picture', async () => {
  const { generate } = await connect()
  const abort = new AbortController()
  let lastStep = 0
  const answering = generate(SLOW, {
    signal: abort.signal,
    onprogress: ({ message }) => {
      lastStep = Number(/^step (\d)/.exec(message ?? '')?.[1] ?? 0)
      if (lastStep > 0) abort.abort('seen enough')
    },
  })
  await expect(answering).rejects.toThrow('seen enough')
  await until(async () => (await newest()).status === 'canceled')
  await until(
    async () => ((await (await call('/api/v1/system')).json()) as Answer).models[0].queue.active === 0,
  )
  const [image] = (await newest()).images
  expect([image.status, image.url]).toEqual(['canceled', undefined])
  expect(lastStep).toBeLessThan(SLOW.steps)
  expect((await generate(SMALL)).isError).toBeUndefined()
})

it('draws for two MCP clients at once, each its own', async () => {
  const both = await Promise.all([connect(), connect()])
  const [first, second] = await Promise.all(both.map(({ generate }, i) => generate({ ...SMALL, seed: i })))
  const seedOf = ({ structuredContent }: CallToolResult) =>
    (structuredContent as { images: { seed: number }[] }).images[0]!.seed
  expect([seedOf(first!), seedOf(second!)]).toEqual([0, 1])
  expect(first!.content[1]).not.toEqual(second!.content[1])
})

it('speaks no MCP with a client that has a wrong key', async () => {
  await expect(connect('wrong')).rejects.toMatchObject({ code: 401 })
})

it('does what the commands in docs/clients.md say', async () => {
  const [, section] = (await readFile(PAGE, 'utf8')).split(/^## curl$/m)
  const blocks = [...section!.split(/^## /m)[0]!.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!)
  expect(blocks).toHaveLength(5)
  for (const program of ['curl', 'jq'])
    if (!findProgram(program)) throw new Error(`${program} is not installed`)
  const script = blocks
    .join('')
    .replace('http://localhost:5001', service.api)
    .replace('Bearer KEY', `Bearer ${KEY}`)
  expect(script).toContain(`AUTH="Authorization: Bearer ${KEY}"`)
  const args = ['-euo', 'pipefail', '-c', script]
  const bash = children.start({ name: 'bash', program: 'bash', args, cwd: dir, env: process.env })
  expect(await bash.ended, bash.lastLines().join('\n')).toBe('code 0')

  const read = (name: string) => readFile(join(dir, name), 'utf8')
  const request = JSON.parse(await read('request.json'))
  expect(request).toMatchObject({ status: 'succeeded', request: { seed: 7, n: 1 } })
  const panda = await readFile(join(dir, 'panda.png'))
  const url = `/api/v1/images/${request.id}/0.png`
  expect(panda.equals(Buffer.from(await (await call(url)).arrayBuffer()))).toBe(true)
  const second = await readFile(join(dir, 'second.png'))
  expect(second.subarray(1, 4).toString()).toBe('PNG')
  expect(second.equals(panda)).toBe(false)
  expect(await read('events.txt')).toMatch(/^event: image$/m)
  expect(await read('events.txt')).toMatch(/^id: end\ndata: .*"status":"succeeded"/m)
  expect(JSON.parse(await read('changed.json'))).toMatchObject({
    status: 'succeeded',
    request: { strength: 0.5 },
  })
  expect([await read('canceled.txt'), await read('models.txt')]).toEqual(['canceled\n', 'demo\n'])
})

/** Connects the official client, as a host does. */
async function connect(key = KEY) {
  const client = new Client({ name: 'e2e', version: '1' })
  const headers = { authorization: `Bearer ${key}` }
  const transport = new StreamableHTTPClientTransport(new URL(`${service.api}/mcp`), {
    requestInit: { headers },
  })
  await client.connect(transport)
  onTestFinished(() => client.close())
  const generate = (args: object, options: Parameters<Client['callTool']>[2] = {}) =>
    client.callTool({ name: 'generate_image', arguments: { ...args } }, undefined, {
      ...{ timeout: DRAW_MS, resetTimeoutOnProgress: true },
      ...options,
    }) as Promise<CallToolResult>
  return { client, generate }
}

async function call(path: string, init: { headers?: object; method?: string; body?: string } = {}) {
  const answer = await fetch(`${service.api}${path}`, {
    ...init,
    headers: { 'x-api-key': KEY, ...init.headers },
  })
  expect(answer.ok, path).toBe(true)
  return answer
}

// Answers of the API, whose schemas are not ours to import here.
// biome-ignore lint/suspicious/noExplicitAny: what is read of them is checked.
type Answer = any

async function ask(path: string, body: object, headers: object = {}): Promise<Answer> {
  const sent = { ...headers, 'content-type': 'application/json' }
  return (await call(path, { method: 'POST', headers: sent, body: JSON.stringify(body) })).json()
}

async function newest(): Promise<Answer> {
  return ((await (await call('/api/v1/images?limit=1')).json()) as Answer).requests[0]
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DRAW_MS
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`Not within ${DRAW_MS} ms`)
    await sleep(50)
  }
}
