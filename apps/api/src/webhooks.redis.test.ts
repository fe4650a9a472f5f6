import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, it, onTestFinished, vi } from 'vitest'
import { setUp } from './testing/set-up.ts'

const SECRET = 'a secret of the operator'
const eventually = <T>(check: () => T) => vi.waitFor(check, { timeout: 20_000, interval: 50 })

/** Somebody's server; fails the first `failures` times. */
async function startReceiver({ failures = 0 } = {}) {
  const received: { headers: IncomingHttpHeaders; body: string }[] = []
  const server = createServer(async (request, response) => {
    received.push({ headers: request.headers, body: await text(request) })
    response.writeHead(received.length > failures ? 204 : 500).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/ended` }
}

async function startApi(hooks: Record<string, string>) {
  const api = await setUp(process.env, { hooks })
  onTestFinished(() => api.close())
  const post = (payload: object) =>
    api.app.inject({
      method: 'POST',
      url: '/api/v1/images',
      payload: { prompt: 'a fox', size: '64x64', steps: 2, ...payload },
    })
  return { ...api, post }
}

const own = { WEBHOOK_HOSTS: '127.0.0.1', WEBHOOK_ALLOW_PRIVATE: 'true', WEBHOOK_SECRET: SECRET }

it('tells a receiver once when all images have ended, signed, and again until it is taken', async () => {
  const api = await startApi(own)
  const { received, url } = await startReceiver({ failures: 1 })
  const { id, request } = (await api.post({ n: 2, webhookUrl: url })).json()
  expect(request).not.toHaveProperty('webhookUrl')
  await api.succeed(await api.take())
  await new Promise((resolve) => setTimeout(resolve, 1500))
  expect(received).toEqual([]) // one is left to draw
  await api.succeed(await api.take())
  await eventually(() => expect(received.length).toBe(2))
  const [first, second] = received.map(({ headers, body }) => ({ headers, body }))
  expect(second!.headers['webhook-id']).toBe(first!.headers['webhook-id'])
  const { headers, body } = second!
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
  expect(headers['webhook-signature']).toBe(
    `v1,${createHmac('sha256', SECRET).update(signed).digest('base64')}`,
  )
  expect(JSON.parse(body)).toMatchObject({ type: 'images.ended', data: { id, status: 'succeeded' } })
  await new Promise((resolve) => setTimeout(resolve, 1500))
  expect(received.length).toBe(2)
})

it.each([
  [{}, 'http://127.0.0.1:1/', 'webhookUrl: this service sends no webhooks'],
  [
    { WEBHOOK_HOSTS: '*', WEBHOOK_SECRET: SECRET },
    'http://127.0.0.1:1/',
    'webhookUrl: webhooks may not be sent to 127.0.0.1',
  ],
  [
    { WEBHOOK_HOSTS: '*', WEBHOOK_SECRET: SECRET },
    'http://[::ffff:10.0.0.1]/',
    'webhookUrl: webhooks may not be sent to [::ffff:a00:1]',
  ],
  [
    { ...own, WEBHOOK_HOSTS: '*.example.com' },
    'https://example.com.evil.test/',
    'webhookUrl: webhooks may not be sent to example.com.evil.test',
  ],
  [own, 'http://me:secret@127.0.0.1/', 'webhookUrl: webhooks may not be sent to 127.0.0.1'],
  [own, 'ftp://127.0.0.1/', 'webhookUrl is "ftp://127.0.0.1/"; it must be an http or https address'],
])('with %j refuses %s', async (hooks, webhookUrl, message) => {
  const api = await startApi(hooks as Record<string, string>)
  const answer = await api.post({ webhookUrl })
  expect([answer.statusCode, answer.json().error.message]).toEqual([400, message])
})

it('refuses a prompt that the operator’s service flags, and says why as data', async () => {
  const server = createServer(async (request, response) => {
    const { prompt } = JSON.parse(await text(request))
    response.end(JSON.stringify({ flagged: prompt.includes('gun'), category: 'violence' }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const api = await startApi({ SAFETY_URL: `http://127.0.0.1:${port}` })
  const answer = await api.post({ prompt: 'a gun' })
  expect(answer.statusCode).toBe(400)
  expect(answer.json()).toMatchObject({ error: { code: 'flagged', category: 'violence' } })
  const { id } = (await api.post({})).json()
  for (let attempt = 0; attempt < 2; attempt++) await api.fail(await api.take(), 'flagged:nudity')
  const { images } = (await api.app.inject(`/api/v1/images/${id}`)).json()
  expect(images[0]).toMatchObject({ status: 'failed', error: { code: 'flagged', category: 'nudity' } })
  server.closeAllConnections()
  server.close()
  const away = await api.post({})
  expect([away.statusCode, away.json().error.code]).toEqual([503, 'unavailable'])
})
