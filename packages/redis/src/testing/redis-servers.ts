import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'

const TLS_DIR = join(import.meta.dirname, '..', 'fixtures', 'tls')
const READY_MS = 30_000

/** Servers of one kind, and the variables that lead to them. */
export type RedisServer = {
  env: Record<string, string>
  port: number
  /** Ends the first server, the one that writes go to, as a power cut does. */
  kill(): Promise<void>
  /** Starts it again with what it had on disk. */
  restart(): Promise<void>
  stop(): Promise<void>
}

type Process = { child: ChildProcess; port: number; dir: string; args: string[] }

/** One server without any protection. With `appendOnly` it keeps what it knows over a restart. */
export async function startRedisServer({ appendOnly = false } = {}): Promise<RedisServer> {
  const server = await startProcess(appendOnly ? ['--appendonly', 'yes', '--appendfsync', 'always'] : [])
  return toServer([server], { REDIS_URL: `redis://127.0.0.1:${server.port}` })
}

/** One server that speaks TLS only, wants a client's certificate, and knows nobody but the ACL user `sd`. */
export async function startProtectedRedis(): Promise<RedisServer> {
  const tls = {
    'tls-cert-file': join(TLS_DIR, 'localhost.crt'),
    'tls-key-file': join(TLS_DIR, 'localhost.key'),
    'tls-ca-cert-file': join(TLS_DIR, 'ca.crt'),
    'tls-auth-clients': 'yes',
  }
  const args = Object.entries(tls).flatMap(([name, value]) => [`--${name}`, value])
  const users = ['--user', 'default', 'off', '--user', 'sd', 'on', '>p@ss/w:rd', '~{*}*', '&*', '+@all']
  const server = await startProcess([...args, ...users], { isTls: true })
  return toServer([server], {
    REDIS_URL: `rediss://sd@localhost:${server.port}`,
    REDIS_PASSWORD: 'p@ss/w:rd',
    REDIS_TLS_CA_FILE: tls['tls-ca-cert-file'],
    REDIS_TLS_CERT_FILE: tls['tls-cert-file'],
    REDIS_TLS_KEY_FILE: tls['tls-key-file'],
  })
}

/** A server with a password, its replica, and a sentinel with another password that makes the replica its heir. */
export async function startSentinel(): Promise<RedisServer> {
  const login = ['--requirepass', 'secret', '--masterauth', 'secret']
  const master = await startProcess(login)
  const replica = await startProcess([...login, '--replicaof', `127.0.0.1 ${master.port}`])
  const sentinel = await startProcess(['--sentinel', '--requirepass', 'watch'])
  const admin = new Redis(sentinel.port, { password: 'watch' })
  await admin.call('SENTINEL', 'MONITOR', 'images', '127.0.0.1', master.port, 1)
  const settings = { 'auth-pass': 'secret', 'down-after-milliseconds': 1000, 'failover-timeout': 5000 }
  for (const [name, value] of Object.entries(settings))
    await admin.call('SENTINEL', 'SET', 'images', name, value)
  await until(async () => JSON.stringify(await admin.call('SENTINEL', 'REPLICAS', 'images')).includes('"ok"'))
  admin.disconnect()
  return toServer([master, replica, sentinel], {
    REDIS_MODE: 'sentinel',
    REDIS_URL: `redis://:secret@127.0.0.1:${sentinel.port}`,
    REDIS_SENTINEL_MASTER: 'images',
    REDIS_SENTINEL_PASSWORD: 'watch',
  })
}

/** Three masters with a password that share the slots. */
export async function startCluster(): Promise<RedisServer> {
  const args = ['--cluster-enabled', 'yes', '--requirepass', 'secret', '--masterauth', 'secret']
  const nodes = [await startProcess(args), await startProcess(args), await startProcess(args)]
  const admins = nodes.map(({ port }) => new Redis(port, { password: 'secret' }))
  const slots = [0, 5461, 10923, 16384]
  for (const [i, admin] of admins.entries()) {
    await admin.call('CLUSTER', 'ADDSLOTSRANGE', slots[i]!, slots[i + 1]! - 1)
    await admin.call('CLUSTER', 'MEET', '127.0.0.1', nodes[0]!.port)
  }
  for (const admin of admins)
    await until(async () => {
      const info = String(await admin.call('CLUSTER', 'INFO'))
      return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3')
    })
  for (const admin of admins) admin.disconnect()
  return toServer(nodes, {
    REDIS_MODE: 'cluster',
    REDIS_URL: nodes.map(({ port }) => `redis://:secret@127.0.0.1:${port}`).join(','),
  })
}

function toServer(processes: Process[], env: Record<string, string>): RedisServer {
  const [first] = processes
  return {
    env,
    port: first!.port,
    kill: () => end(first!.child),
    async restart() {
      first!.child = launch(first!.args)
      await until(() => answers(first!.port))
    },
    async stop() {
      for (const { child, dir } of processes.toReversed()) {
        await end(child)
        rmSync(dir, { recursive: true, force: true })
      }
    },
  }
}

async function startProcess(args: string[], { isTls = false } = {}): Promise<Process> {
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'redis-'))
  const ports = isTls ? ['--port', '0', '--tls-port', String(port)] : ['--port', String(port)]
  // A sentinel writes to its configuration, so it must have one.
  const isSentinel = args.includes('--sentinel')
  const own = isSentinel ? [] : ['--save', '', '--maxmemory-policy', 'noeviction']
  const whole = ['--bind', '127.0.0.1', ...ports, '--dir', dir, ...own, ...args]
  const all = isSentinel ? [writeConfig(dir, whole), '--sentinel'] : whole
  const child = launch(all)
  await until(() => answers(port))
  return { child, port, dir, args: all }
}

/** Options as lines of a configuration file. */
function writeConfig(dir: string, options: string[]): string {
  const path = join(dir, 'sentinel.conf')
  const lines = options
    .join(' ')
    .split(/(?:^| )--/)
    .filter((line) => line && line !== 'sentinel')
  writeFileSync(path, lines.join('\n'))
  return path
}

function launch(args: string[]): ChildProcess {
  // biome-ignore lint/style/noProcessEnv: the command that runs the tests finds the program
  const program = process.env.TEST_REDIS_SERVER
  if (!program)
    throw new Error('TEST_REDIS_SERVER is not set; name a redis-server, as vitest does from the root')
  return spawn(program, args, { stdio: 'ignore' })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

/** Whether somebody listens. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + READY_MS
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`Redis was not ready within ${READY_MS / 1000} s`)
    await sleep(50)
  }
}

async function freePort(): Promise<number> {
  // A cluster's nodes also listen 10000 higher, and the kernel gives out ports up to 60999.
  for (;;) {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await new Promise((closed) => server.close(closed))
    if (port < 55_000) return port
  }
}
