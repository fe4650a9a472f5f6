// Runs the whole product on this machine: Redis, worker, API and web page, until it is told to stop.
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { join, resolve } from 'node:path'
import { json } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildPage } from './build-page.ts'
import { type Child, createChildren } from './child-processes.ts'
import { readableLine } from './log-line.ts'
import { isPortTaken } from './ports.ts'
import { startRedis } from './redis.ts'

const ROOT = join(import.meta.dirname, '..')
const PORTS = { WEB_PORT: 5001, API_PORT: 5000, WORKER_PORT: 5002 }
const ENTRY = {
  web: 'apps/web/src/server/main.ts',
  api: 'apps/api/src/main.ts',
  worker: 'apps/worker/src/main.ts',
}
const SHUTDOWN_GRACE_SECONDS = Number(process.env.SHUTDOWN_GRACE_SECONDS || 20) // for the batch in hand
const GRACE_MS = { web: 5_000, api: 10_000, worker: SHUTDOWN_GRACE_SECONDS * 1000 + 5_000 }
const READY_POLL_MS = 200
const PROGRESS_MS = 3_000 // between two lines of progress
const RESTART_MIN_MS = 500
const RESTART_MAX_MS = 30_000
const SETTLED_MS = 60_000 // a worker that lived this long has not died of its start
// One Ctrl-C arrives up to three times: from the terminal, from npm and from bootstrap.mjs.
const SAME_SIGNAL_MS = 500

const children = createChildren()
const say = (line: string) => console.log(line)

process.exitCode = await main()

async function main(): Promise<number> {
  const stopRequest = onStopRequest()
  const serving = serve()
  let code = 0
  try {
    await Promise.race([serving, stopRequest])
    say('Stopping; Ctrl-C once more ends everything at once...')
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    code = 1
  }
  await children.stopAll()
  await serving.catch(() => {}) // Stopping makes it fail; a real failure was reported above.
  return code
}

/** Resolves at the first Ctrl-C or SIGTERM; the second ends everything at once. */
function onStopRequest(): Promise<void> {
  return new Promise((resolve) => {
    let firstAt: number | undefined
    const onSignal = () => {
      firstAt ??= Date.now()
      if (Date.now() - firstAt > SAME_SIGNAL_MS) {
        children.killAll()
        process.exit(130)
      }
      resolve()
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  })
}

/** Starts all parts and keeps them running; ends only by failing. */
async function serve(): Promise<void> {
  const ports = await readPorts()
  const dataDir = resolve(process.env.DATA_DIR || join(ROOT, '.data'))
  await buildPage({ children, log: say })
  const redis = await provideRedis(dataDir)

  const env = {
    ...process.env,
    MODEL: absoluteModel(process.env.MODEL || 'demo'),
    ...Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, String(port)])),
    API_URL: `http://127.0.0.1:${ports.API_PORT}`,
    DATA_DIR: dataDir,
    SHUTDOWN_GRACE_SECONDS: String(SHUTDOWN_GRACE_SECONDS),
    REDIS_URL: redis.url,
  }
  const startPart = (name: keyof typeof ENTRY) =>
    children.start({
      name,
      program: process.execPath,
      args: [join(ROOT, ENTRY[name])],
      env,
      logFile: join(dataDir, 'logs', `${name}.log`),
      onLine: (line) => showFault(name, line),
      graceMs: GRACE_MS[name],
    })

  say('Starting...')
  // They are stopped the other way round: nobody asks for a picture that will not be drawn.
  const worker = startPart('worker')
  const ends = [...(redis.process ? [redis.process] : []), startPart('api'), startPart('web')].map(failAtEnd)
  await Promise.race([...ends, failAtEnd(worker), waitUntilReady(ports)])
  say(`Ready: http://localhost:${ports.WEB_PORT}`)
  await Promise.race([...ends, keepRunning(worker, () => startPart('worker'))])
}

/** A path whole, so that all parts take it for one: a relative one can look like a repository's name. */
function absoluteModel(model: string): string {
  return model !== 'demo' && existsSync(model) ? resolve(model) : model
}

/** @throws where one is not a port, named twice, or taken. */
async function readPorts(): Promise<typeof PORTS> {
  const ports = { ...PORTS }
  for (const name of Object.keys(PORTS) as (keyof typeof PORTS)[]) {
    const port = Number(process.env[name] || PORTS[name])
    const isPort = Number.isInteger(port) && port > 0 && port < 65_536
    if (!isPort) throw new Error(`${name} is "${process.env[name]}"; it must be a port from 1 to 65535.`)
    ports[name] = port
  }
  if (new Set(Object.values(ports)).size < 3)
    throw new Error(`Each part needs its own port: ${JSON.stringify(ports)}.`)
  for (const [name, port] of Object.entries(ports)) {
    if (await isPortTaken(port)) throw new Error(`Port ${port} is taken; set ${name} to a free one.`)
  }
  return ports
}

async function provideRedis(dataDir: string): Promise<{ url: string; process?: Child }> {
  if (process.env.REDIS_URL) return { url: process.env.REDIS_URL }
  const logFile = join(dataDir, 'logs', 'redis.log')
  return startRedis({ dir: join(dataDir, 'redis'), log: say, logFile, children })
}

/** Waits until a picture can be drawn and the page asked for it, saying what the worker is busy with. */
async function waitUntilReady(ports: typeof PORTS): Promise<void> {
  const startedAt = Date.now()
  let saidAt = 0
  for (const port of [ports.API_PORT, ports.WEB_PORT, ports.WORKER_PORT]) {
    while (true) {
      const { isReady, reason } = await askReady(port)
      if (isReady) break
      if (reason && Date.now() - saidAt > PROGRESS_MS) {
        say(`worker: ${reason} (${Math.round((Date.now() - startedAt) / 1000)} s)...`)
        saidAt = Date.now()
      }
      await sleep(READY_POLL_MS, undefined, { signal: children.stopping })
    }
  }
}

async function askReady(port: number): Promise<{ isReady: boolean; reason?: string }> {
  try {
    // Not by `fetch`, which refuses some ports, 6000 among them.
    const request = get({ host: '127.0.0.1', port, path: '/readyz', signal: AbortSignal.timeout(5_000) })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const body = (await json(response)) as { error?: { message?: string } }
    return { isReady: response.statusCode === 200, reason: body.error?.message }
  } catch {
    return { isReady: false } // not listening yet
  }
}

/** Starts the worker again whenever it ends, later each time while it does not last. */
async function keepRunning(first: Child, start: () => Child): Promise<never> {
  let worker = first
  let waitMs = RESTART_MIN_MS
  while (true) {
    const startedAt = Date.now()
    const end = await worker.ended
    children.stopping.throwIfAborted()
    waitMs = Date.now() - startedAt > SETTLED_MS ? RESTART_MIN_MS : Math.min(waitMs * 2, RESTART_MAX_MS)
    say(`The worker ended (${end}); starting it again in ${waitMs / 1000} s...`)
    await sleep(waitMs, undefined, { signal: children.stopping })
    worker = start()
  }
}

async function failAtEnd(child: Child): Promise<never> {
  const end = await child.ended
  const lines = child.lastLines().map((line) => `  ${readableLine(line).text}`)
  throw new Error([`${child.name} ended (${end}). Its last lines:`, ...lines].join('\n'))
}

function showFault(name: string, line: string): void {
  const { isFault, text } = readableLine(line)
  if (isFault) console.error(`${name}: ${text}`)
}
