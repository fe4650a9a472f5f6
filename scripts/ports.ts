import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'

/** Asks the kernel for a port nobody uses on the loopback address. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((closed) => server.close(closed))
  return port
}

/** Tells whether anybody listens on this port, on any address of the machine. */
export async function isPortTaken(port: number): Promise<boolean> {
  const server = createServer().listen({ port, host: '0.0.0.0', exclusive: true })
  const fault = await once(server, 'listening').then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  )
  await new Promise((closed) => server.close(closed))
  return fault === 'EADDRINUSE'
}
