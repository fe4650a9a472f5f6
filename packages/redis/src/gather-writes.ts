import type { Cluster, Redis } from 'ioredis'

/**
 * Has a client send at once what is asked of it in one turn of the event loop. Each command by itself would be a call to
 * the system and wake the server, which costs more than most commands do.
 */
export function gatherWrites(client: Redis | Cluster): void {
  if (client.isCluster) (client as Cluster).on('+node', gatherWrites)
  else client.on('connect', () => gatherWritesTo((client as Redis).stream))
}

function gatherWritesTo(stream: Redis['stream']): void {
  const { write } = stream
  let isGathering = false
  stream.write = (...args: unknown[]) => {
    if (!isGathering) {
      isGathering = true
      stream.cork()
      setImmediate(() => {
        isGathering = false
        stream.uncork()
      })
    }
    return Reflect.apply(write, stream, args)
  }
}
