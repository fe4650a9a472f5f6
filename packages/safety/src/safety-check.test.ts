import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { expect, it, onTestFinished } from 'vitest'
import { createSafetyCheck, SafetyConfig, SafetyUnavailable } from './safety-check.ts'

type Answer = { status?: number; body?: string }

/** A service of an operator; answers what it is told, and keeps what it was asked. */
async function startService(answer: () => Answer | undefined) {
  const asked: unknown[] = []
  const server = createServer(async (request, response) => {
    asked.push(await json(request))
    const given = answer()
    if (!given) return // and says nothing
    const { status = 200, body = '{"flagged":false}' } = given
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/check` }
}

const checkWith = (SAFETY_URL: string, config: object = {}) =>
  createSafetyCheck(SafetyConfig.parse({ SAFETY_URL, SAFETY_TIMEOUT_MS: '10000', ...config }))
const prompt = { stage: 'prompt', prompt: 'a fox' } as const

it('passes on what the service says, and sends it the prompt or the picture', async () => {
  const { url, asked } = await startService(() => ({
    body: '{"flagged":true,"category":"violence","score":1}',
  }))
  const check = checkWith(url)
  expect(await check(prompt)).toEqual({ flagged: true, category: 'violence' })
  await check({ stage: 'image', prompt: 'a fox', mediaType: 'image/png', image: Uint8Array.of(1, 2, 3) })
  expect(asked).toEqual([
    { stage: 'prompt', prompt: 'a fox' },
    { stage: 'image', prompt: 'a fox', mediaType: 'image/png', image: 'AQID' },
  ])
})

it('asks nobody where there is no service', async () => {
  expect(await createSafetyCheck(SafetyConfig.parse({}))(prompt)).toEqual({ flagged: false })
})

it.each([
  ['fails', () => ({ status: 500 })],
  ['answers something else', () => ({ body: '{"ok":true}' })],
  ['says nothing', () => undefined],
])('refuses, or allows where it was told to, when the service %s', async (_, answer) => {
  const { url } = await startService(answer)
  const impatient = { SAFETY_TIMEOUT_MS: '500' }
  await expect(checkWith(url, impatient)(prompt)).rejects.toThrow(SafetyUnavailable)
  expect(await checkWith(url, { ...impatient, SAFETY_ON_FAILURE: 'allow' })(prompt)).toEqual({
    flagged: false,
  })
})
