import { mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Child, type Children, createChildren, findProgram } from './child-processes.ts'
import { installDebianPackage } from './debian.ts'
import { freePort } from './ports.ts'

const TOOLS = join(import.meta.dirname, '..', '.tools')
const LOCKED = '75' // what `flock` is told to exit with when the folder is in use
const READY_MS = 60_000 // a long append-only file is read first

export type Redis = { url: string; process: Child; stop(): Promise<void> }

export type RedisOptions = {
  /** Folder that it keeps its data in; without one it keeps nothing on disk. */
  dir?: string
  log: (line: string) => void
  logFile?: string
  /** Those who stop it with the rest. */
  children?: Children
}

/** Starts a Redis of our own on a free loopback port, installing Debian's first where there is none. */
export async function startRedis({
  dir,
  log,
  logFile,
  children = createChildren(),
}: RedisOptions): Promise<Redis> {
  const server = await findRedis(log)
  const port = await freePort()
  if (dir) mkdirSync(dir, { recursive: true })
  const settings = {
    bind: '127.0.0.1',
    port,
    dir: dir ?? tmpdir(),
    appendonly: dir ? 'yes' : 'no',
    save: '',
    'maxmemory-policy': 'noeviction',
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  const [program, ...rest] = [...(dir ? lock(dir) : []), server, ...args]
  const child = children.start({ name: 'redis', program: program!, args: rest, logFile })
  await waitUntilReady(child, port)
  return { url: `redis://127.0.0.1:${port}`, process: child, stop: child.stop }
}

/** Finds the program of a Redis server, installing Debian's first where there is none. */
export async function findRedis(log: (line: string) => void): Promise<string> {
  const found = findProgram('redis-server', 'valkey-server')
  if (found) return found
  // Debian keeps the server's program in redis-tools, under another of its names; redis-server adds a link to it
  // and a service on port 6379, which nobody asked for.
  const find = () => findProgram('redis-check-rdb')
  if (!find()) await installDebianPackage('redis-tools', { purpose: 'Redis', log })
  const program = find()
  if (!program)
    throw new Error('redis-tools has no redis-check-rdb here: install redis-server or valkey-server.')
  const link = join(TOOLS, 'redis-server')
  mkdirSync(TOOLS, { recursive: true })
  rmSync(link, { force: true })
  symlinkSync(program, link)
  return link
}

/** Two servers would spoil each other's file; this lock lives as long as the server, however it ends. */
function lock(dir: string): string[] {
  return findProgram('flock') ? ['flock', '--no-fork', '--nonblock', '-E', LOCKED, join(dir, 'lock')] : []
}

async function waitUntilReady(child: Child, port: number): Promise<void> {
  const deadline = Date.now() + READY_MS
  while (!(await answersPing(port))) {
    if (child.hasEnded()) throw new Error(await explainEnd(child))
    if (Date.now() > deadline) throw new Error(`Redis gave no answer within ${READY_MS / 1000} s.`)
    await sleep(20)
  }
}

async function explainEnd(child: Child): Promise<string> {
  const end = await child.ended
  if (end === `code ${LOCKED}`)
    return 'The data folder is in use by another Redis; set DATA_DIR to another one.'
  return `Redis ended with ${end}.\n${child.lastLines().join('\n')}`
}

function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.setTimeout(1000, () => socket.destroy())
    socket.on('data', (data) => {
      resolve(data.toString().startsWith('+PONG'))
      socket.destroy()
    })
    socket.on('error', () => {}).on('close', () => resolve(false))
  })
}
