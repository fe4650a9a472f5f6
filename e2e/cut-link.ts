import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export type Link = {
  /** Where the service on the far side seems to be. */
  url: string
  /** Ends every connection and refuses new ones, as when the service is gone. */
  cut: () => Promise<void>
  /** Lets connections through again. */
  mend: () => Promise<void>
}

/** A way to a service that can be cut and mended; what goes through is not touched. */
export async function createLink(target: string): Promise<Link> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let server: Server | undefined
  let ownPort = 0

  async function mend() {
    server = createServer((near) => {
      const far = connect(Number(port), hostname)
      for (const socket of [near, far]) {
        sockets.add(socket)
        // One side that ends takes the other along.
        socket
          .on('error', () => {})
          .on('close', () => {
            sockets.delete(socket)
            near.destroy()
            far.destroy()
          })
      }
      near.pipe(far).pipe(near)
    }).listen(ownPort, '127.0.0.1')
    await once(server, 'listening')
    ownPort = (server.address() as AddressInfo).port
  }

  async function cut() {
    const closing = server
    server = undefined
    for (const socket of sockets) socket.destroy()
    if (closing) await new Promise((closed) => closing.close(closed))
  }

  await mend()
  return { url: `http://127.0.0.1:${ownPort}`, cut, mend }
}
