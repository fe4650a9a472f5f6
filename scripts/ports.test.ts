import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, it } from 'vitest'
import { freePort, isPortTaken } from './ports.ts'

it.each(['127.0.0.1', '0.0.0.0'])('sees who listens on %s', async (host) => {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  expect(await isPortTaken(port)).toBe(true)
  await new Promise((closed) => server.close(closed))
  expect(await isPortTaken(port)).toBe(false)
})

it('offers a port that is not taken', async () => {
  expect(await isPortTaken(await freePort())).toBe(false)
})
