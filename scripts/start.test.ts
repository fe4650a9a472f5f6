import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createChildren } from './child-processes.ts'
import { freePort } from './ports.ts'

function start(env: Record<string, string>) {
  const args = [join(import.meta.dirname, 'start.ts')]
  return createChildren().start({
    name: 'start',
    program: process.execPath,
    args,
    env: { ...process.env, ...env },
  })
}

it('names the port that is taken and its variable, and starts nothing', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const child = start({ WEB_PORT: String(port), API_PORT: String(await freePort()) })
  expect(await child.ended).toBe('code 1')
  expect(child.lastLines()).toEqual([`Port ${port} is taken; set WEB_PORT to a free one.`])
  server.close()
})

it.each([
  [{ WEB_PORT: 'x' }, 'WEB_PORT is "x"; it must be a port from 1 to 65535.'],
  [{ WEB_PORT: '5000', API_PORT: '5000' }, 'Each part needs its own port'],
])('refuses %j', async (env, message) => {
  const child = start(env)
  expect(await child.ended).toBe('code 1')
  expect(child.lastLines().join('\n')).toContain(message)
})
