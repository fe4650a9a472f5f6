import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export type RedisProxy = {
  url: string
  /** Drops every connection and takes no new ones. */
  cut(): void
  /** Keeps every connection and lets nothing through. */
  freeze(): void
  restore(): void
  close(): void
}

/** Stands between the API and a real Redis, to take it away in the ways networks do. */
export async function startRedisProxy(target: string): Promise<RedisProxy> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let mode: 'open' | 'cut' | 'frozen' = 'open'
  const server = createServer((inner) => {
    if (mode === 'cut') return inner.destroy()
    const outer = connect(Number(port), hostname)
    for (const socket of [inner, outer]) {
      sockets.add(socket)
      const other = socket === inner ? outer : inner
      socket.on('data', (chunk) => mode === 'open' && other.write(chunk))
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const cutAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut() {
      mode = 'cut'
      cutAll()
    },
    freeze() {
      mode = 'frozen'
    },
    restore() {
      mode = 'open'
    },
    close() {
      cutAll()
      server.close()
    },
  }
}
