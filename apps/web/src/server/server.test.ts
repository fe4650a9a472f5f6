import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MAX_INPUT_CHARACTERS } from '@sdcpu/contract'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { buildServer } from './server.ts'

const closers: (() => unknown)[] = []
let pageDir: string

beforeEach(() => {
  pageDir = mkdtempSync(join(tmpdir(), 'page-'))
  mkdirSync(join(pageDir, 'assets'))
  writeFileSync(join(pageDir, 'index.html'), '<title>the page</title>')
  writeFileSync(join(pageDir, 'assets', 'index-a1b2.js'), 'start()')
  writeFileSync(join(pageDir, '.built-from'), 'a hash')
  closers.push(() => rmSync(pageDir, { recursive: true }))
})

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

describe('the page', () => {
  it('is asked for again each time, its hashed files never', async () => {
    const app = await serverOf('http://127.0.0.1:9')
    const index = await app.inject('/')
    expect(index.statusCode).toBe(200)
    expect(index.body).toContain('the page')
    expect(index.headers['cache-control']).toBe('no-cache')
    expect(index.headers).toMatchObject({
      'content-security-policy': expect.stringMatching(
        /^default-src 'none';script-src 'self';style-src 'self';/,
      ),
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'SAMEORIGIN',
      'referrer-policy': 'same-origin',
    })
    expect(index.headers['content-security-policy']).not.toMatch(/unsafe|\*|http/)
    expect(index.headers).not.toHaveProperty('access-control-allow-origin')
    const script = await app.inject('/assets/index-a1b2.js')
    expect(script.body).toBe('start()')
    expect(script.headers['cache-control']).toBe('public, max-age=31536000, immutable')
  })

  it('travels compressed where the build left a compressed file', async () => {
    writeFileSync(join(pageDir, 'assets', 'index-a1b2.js.br'), 'small')
    const app = await serverOf('http://127.0.0.1:9')
    const script = await app.inject({
      url: '/assets/index-a1b2.js',
      headers: { 'accept-encoding': 'gzip, br' },
    })
    expect(script.body).toBe('small')
    expect(script.headers['content-encoding']).toBe('br')
    expect(script.headers['content-type']).toMatch(/javascript/)
  })

  it.each(['/nothing', '/.built-from', '/assets/missing.js'])('is not at %s', async (url) => {
    const app = await serverOf('http://127.0.0.1:9')
    const answer = await app.inject(url)
    expect(answer.statusCode).toBe(404)
    expect(answer.json()).toEqual({
      error: { code: 'not_found', message: `There is nothing at GET ${url}`, requestId: expect.any(String) },
    })
  })

  it('must have been built', async () => {
    const building = buildServer({
      pageDir: join(pageDir, 'assets'),
      apiUrl: 'http://127.0.0.1:9',
      apiTimeoutMs: 1000,
    })
    await expect(building).rejects.toThrow(/The page is not built.*Run "pnpm/)
  })

  it('counts its answers by kind of path, so that ids make no series of their own', async () => {
    const app = await serverOf(await apiOf((_, response) => response.end('{}')))
    for (const url of ['/', '/api/v1/images/a', '/api/v1/images/b', '/nothing']) await app.inject(url)
    const { body } = await app.inject('/metrics')
    expect(body).toContain('sd_http_responses_total{route="/api/*",status="200"} 2')
    expect(body).toMatch(/^process_resident_memory_bytes \d+$/m)
    expect(body).not.toContain('images/a')
  })

  it.each(['/healthz', '/readyz'])('answers %s while the API is away', async (url) => {
    const app = await serverOf('http://127.0.0.1:9')
    expect((await app.inject(url)).statusCode).toBe(200)
  })
})

describe('the way to the API', () => {
  it.each([
    '/api/v1/images?limit=3',
    '/v1/models',
    '/v1/images/generations',
    '/sdapi/v1/progress?skip_current_image=true',
    '/internal/pendingTasks',
    '/images/a/0_0.png',
    '/mcp',
    '/docs',
    '/docs/static/x.js',
    '/openapi.json',
  ])('passes %s as it is', async (url) => {
    const app = await serverOf(await apiOf((request, response) => response.end(request.url)))
    const answer = await app.inject(url)
    expect(answer.statusCode).toBe(200)
    expect(answer.body).toBe(url)
  })

  it('passes method, body, status and headers both ways', async () => {
    let seen: IncomingMessage | undefined
    const api = await apiOf(async (request, response) => {
      seen = request
      response.writeHead(429, { 'retry-after': '12', 'content-type': 'application/json' })
      response.end(await bodyOf(request))
    })
    const app = await serverOf(api)
    const answer = await app.inject({
      method: 'POST',
      url: '/api/v1/images',
      headers: { host: 'pictures.example', 'idempotency-key': 'once' },
      payload: { prompt: 'a fox' },
    })
    expect(answer.statusCode).toBe(429)
    expect(answer.headers['retry-after']).toBe('12')
    expect(answer.json()).toEqual({ prompt: 'a fox' })
    expect(seen?.method).toBe('POST')
    expect(seen?.headers).toMatchObject({
      'idempotency-key': 'once',
      'x-forwarded-host': 'pictures.example',
      'x-forwarded-proto': 'http',
      'x-forwarded-for': '127.0.0.1',
      'x-request-id': expect.stringMatching(/^[\w-]{36}$/),
    })
  })

  it('passes a body with the largest image there may be', async () => {
    const api = await apiOf(async (request, response) => {
      response.end(String((await bodyOf(request)).length))
    })
    const app = await serverOf(api)
    const payload = JSON.stringify({ prompt: 'a red fox', image: 'A'.repeat(MAX_INPUT_CHARACTERS) })
    const answer = await app.inject({
      method: 'POST',
      url: '/api/v1/images',
      headers: { 'content-type': 'application/json' },
      payload,
    })
    expect([answer.statusCode, answer.body]).toEqual([200, String(payload.length)])
  })

  it('keeps what an outer proxy says of the caller', async () => {
    const app = await serverOf(
      await apiOf((request, response) => response.end(JSON.stringify(request.headers))),
    )
    const headers = {
      'x-forwarded-for': '203.0.113.7',
      'x-forwarded-proto': 'https',
      'x-request-id': 'trace-7',
    }
    const answer = await app.inject({ url: '/api/v1/system', headers })
    expect(answer.json()).toMatchObject({ ...headers, 'x-forwarded-for': '203.0.113.7, 127.0.0.1' })
  })

  it('lets a stream of events through as it comes', async () => {
    let finish = () => {}
    const api = await apiOf((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: 1\n\n')
      finish = () => response.end()
    })
    const app = await serverOf(api)
    const base = await app.listen({ host: '127.0.0.1', port: 0 })
    const answer = await fetch(`${base}/api/v1/images/a/events`)
    const first = await answer.body?.getReader().read()
    expect(new TextDecoder().decode(first?.value)).toBe('data: 1\n\n')
    finish()
  })

  it.each([
    ['before it is answered', false],
    ['in the middle of a stream', true],
  ])('hangs up on the API when its caller hangs up %s', async (_, isBegun) => {
    const asked = Promise.withResolvers<void>()
    const hungUp = Promise.withResolvers<void>()
    const api = await apiOf((request, response) => {
      response.once('close', hungUp.resolve)
      if (isBegun) response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
      request.resume().once('end', asked.resolve)
    })
    const base = await (await serverOf(api, 600_000)).listen({ host: '127.0.0.1', port: 0 })
    const caller = new AbortController()
    const call = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }
    const answering = fetch(`${base}/mcp`, { ...call, signal: caller.signal })
    if (isBegun) await answering
    else answering.catch(() => {})
    await asked.promise
    caller.abort()
    await hungUp.promise
  })

  it('does not repeat a question that was answered 503', async () => {
    let asked = 0
    const api = await apiOf((_, response) => {
      asked += 1
      response.writeHead(503, { 'retry-after': '1' }).end('{}')
    })
    const app = await serverOf(api)
    const answer = await app.inject('/api/v1/images/a')
    expect(answer.statusCode).toBe(503)
    expect(asked).toBe(1)
  })

  it('passes a body of which the caller asked first whether to send it', async () => {
    const api = await apiOf(async (request, response) => response.end(await bodyOf(request)))
    const base = await (await serverOf(api)).listen({ host: '127.0.0.1', port: 0 })
    const request = httpRequest(`${base}/sdapi/v1/img2img`, {
      method: 'POST',
      headers: { expect: '100-continue' },
    })
    request.flushHeaders()
    await once(request, 'continue')
    request.end('a picture')
    const [response] = await once(request, 'response')
    expect(response.statusCode).toBe(200)
    expect(await bodyOf(response)).toBe('a picture')
  })

  it('lets spaces through as they come, and the JSON after them', async () => {
    let finish = () => {}
    const api = await apiOf((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' })
      response.write(' ')
      finish = () => response.end('{"images":[]}')
    })
    const base = await (await serverOf(api)).listen({ host: '127.0.0.1', port: 0 })
    const answer = await fetch(`${base}/sdapi/v1/txt2img`, { method: 'POST', body: '{}' })
    const reader = answer.body!.getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe(' ')
    finish()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('{"images":[]}')
  })

  // Not by `inject`, whose pretended request fails with the body it could not pass on.
  it('says so in the one error shape when nobody answers', async () => {
    const app = await serverOf(`http://127.0.0.1:${await closedPort()}`)
    const base = await app.listen({ host: '127.0.0.1', port: 0 })
    const answer = await fetch(`${base}/api/v1/images`, {
      method: 'POST',
      body: JSON.stringify({ prompt: 'a fox' }),
    })
    const headers = Object.fromEntries(answer.headers)
    const body = await answer.json()
    expectUnavailable({ statusCode: answer.status, headers, json: () => body })
  })

  it('says the same when the API takes the call and stays silent', async () => {
    const app = await serverOf(await apiOf(() => {}), 1000)
    expectUnavailable(await app.inject('/api/v1/images/a'))
  })

  it('says the same when the API dies during the call', async () => {
    const app = await serverOf(await apiOf((request) => request.socket.destroy()))
    expectUnavailable(await app.inject('/api/v1/images/a'))
  })
})

type Answer = { statusCode: number; headers: Record<string, unknown>; json: () => unknown }

function expectUnavailable(answer: Answer) {
  expect(answer.statusCode).toBe(503)
  expect(answer.headers['retry-after']).toBe('2')
  expect(answer.json()).toEqual({
    error: {
      code: 'unavailable',
      message: 'The API cannot be reached right now',
      requestId: expect.any(String),
    },
  })
}

async function serverOf(apiUrl: string, apiTimeoutMs = 10_000) {
  const app = await buildServer({ pageDir, apiUrl, apiTimeoutMs })
  closers.push(() => app.close())
  return app
}

async function apiOf(listener: RequestListener): Promise<string> {
  const server = await listening(createServer(listener))
  closers.push(() => new Promise((resolve) => server.close(resolve)))
  closers.push(() => server.closeAllConnections())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function closedPort(): Promise<number> {
  const server = await listening(createServer())
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function listening(server: Server): Promise<Server> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request) body += chunk
  return body
}
