import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Redis, startRedis } from './redis.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sdcpu-redis-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const start = () => startRedis({ dir, log: console.error })

async function ask({ url }: Redis, command: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.write(`${command}\r\nQUIT\r\n`)
  return (await text(socket)).replace(/\+OK\r\n$/, '').trim()
}

it('keeps what it was told over a restart', async () => {
  const first = await start()
  expect(await ask(first, 'SET fox red')).toBe('+OK')
  await first.stop()
  const second = await start()
  expect(await ask(second, 'GET fox')).toBe('$3\r\nred')
  await second.stop()
})

it('forgets nothing for want of memory: it refuses', async () => {
  const redis = await start()
  expect(await ask(redis, 'CONFIG GET maxmemory-policy')).toContain('noeviction')
  await redis.stop()
})

it('does not share a folder with another Redis', async () => {
  const redis = await start()
  await expect(start()).rejects.toThrow('in use by another Redis')
  await redis.stop()
  const next = await start() // the lock went with its holder
  await next.stop()
})
