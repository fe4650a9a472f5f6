import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { setUp } from './testing/set-up.ts'

async function startApi() {
  const api = await setUp(process.env)
  onTestFinished(() => api.close())
  return { ...api, base: await api.app.listen({ host: '127.0.0.1', port: 0 }) }
}

/** Sends bytes as they are, and gives all that comes back until the API hangs up. */
async function send(base: string, text: string): Promise<string> {
  const socket = connect(Number(new URL(base).port), '127.0.0.1')
  let answer = ''
  socket.setEncoding('utf8').on('data', (chunk) => {
    answer += chunk
  })
  socket.write(text)
  await once(socket, 'close')
  return answer
}

it('says on every answer that it loads nothing, is framed by nobody, and is for no other origin’s scripts', async () => {
  const { app } = await startApi()
  for (const url of ['/healthz', '/api/v1/models', '/nothing', '/openapi.json']) {
    const { headers } = await app.inject({ url, headers: { origin: 'https://elsewhere.example' } })
    expect(headers).toMatchObject({
      'content-security-policy': "default-src 'none';frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
    })
    expect(headers).not.toHaveProperty('access-control-allow-origin')
    expect(headers).not.toHaveProperty('x-powered-by')
  }
})

it('refuses headers beyond 16 KiB, and what is not HTTP, in the one shape of errors', async () => {
  const { base } = await startApi()
  const large = await send(base, `GET /healthz HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)
  expect(large).toMatch(/^HTTP\/1.1 431 .*"code":"payload_too_large".*"requestId"/s)
  expect(await send(base, 'hello\r\n\r\n')).toMatch(/^HTTP\/1.1 400 .*"code":"invalid_request"/s)
})

it('cuts off a request that comes too slowly', async () => {
  const { base } = await startApi()
  const head =
    'POST /api/v1/images HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{'
  const startedAt = performance.now()
  expect(await send(base, head)).toMatch(/^HTTP\/1.1 408 .*"code":"invalid_request"/s)
  expect(performance.now() - startedAt).toBeLessThan(20_000) // not the minutes of Node's own
})
