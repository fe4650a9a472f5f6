import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Child, createChildren } from '../scripts/child-processes.ts'
import { freePort } from '../scripts/ports.ts'
import { startRedis } from '../scripts/redis.ts'

const APPS = join(import.meta.dirname, '..', 'apps')
// Large and slow enough for the demo model that a kill falls into the drawing.
const SLOW = { prompt: 'a panda on a blue background', seed: 7, size: '768x768', steps: 8 }
const TAKEOVER_MS = 30_000
const DRAW_MS = 60_000

type Images = { status: string; images: { status: string; step?: number; url?: string }[] }

const children = createChildren()
let dataDir: string
let env: NodeJS.ProcessEnv
let api: string

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sdcpu-killed-'))
  const redis = await startRedis({ children, log: console.log })
  const port = await freePort()
  api = `http://127.0.0.1:${port}/api/v1/images`
  env = { ...process.env, REDIS_URL: redis.url, MODEL: 'demo', DATA_DIR: dataDir, API_PORT: String(port) }
  start('api', env)
})
afterAll(async () => {
  await children.stopAll()
  await rm(dataDir, { recursive: true, force: true })
})

it('draws a picture although the worker that began it was killed', async () => {
  const doomed = await startWorker()
  const url = await post()
  await until(url, ({ images }) => (images[0]?.step ?? 0) >= 1, DRAW_MS)
  await startWorker()
  const [before] = (await get(url)).images
  expect(before).toMatchObject({ status: 'running' })

  process.kill(doomed.pid!, 'SIGKILL')
  const drawn = await until(url, ({ status }) => status === 'succeeded', TAKEOVER_MS + DRAW_MS)
  const again = await until(await post(), ({ status }) => status === 'succeeded', DRAW_MS)

  const [rescued, undisturbed] = await Promise.all([picture(drawn), picture(again)])
  expect(rescued.length).toBeGreaterThan(1000)
  expect(rescued.equals(undisturbed)).toBe(true)
}, 300_000)

function start(app: string, environment: NodeJS.ProcessEnv): Child {
  const args = [join(APPS, app, 'src/main.ts')]
  return children.start({ name: app, program: process.execPath, args, env: environment, graceMs: 10_000 })
}

/** Starts a worker and waits until it takes jobs. */
async function startWorker(): Promise<Child> {
  const port = await freePort()
  const worker = start('worker', { ...env, WORKER_PORT: String(port) })
  const deadline = Date.now() + DRAW_MS
  for (;;) {
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
    if (ready?.ok) return worker
    if (Date.now() > deadline) throw new Error(`The worker is not ready:\n${worker.lastLines().join('\n')}`)
    await sleep(100)
  }
}

/** Asks for the slow picture and gives the address to follow it at. */
async function post(): Promise<string> {
  const body = JSON.stringify(SLOW)
  const answer = await fetch(api, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  expect(answer.status).toBe(202)
  return `${api}/${((await answer.json()) as { id: string }).id}`
}

async function get(url: string): Promise<Images> {
  return (await fetch(url)).json() as Promise<Images>
}

async function until(url: string, holds: (images: Images) => boolean, timeoutMs: number): Promise<Images> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const images = await get(url)
    if (holds(images)) return images
    if (Date.now() > deadline) throw new Error(`Still ${JSON.stringify(images)} after ${timeoutMs} ms`)
    await sleep(50)
  }
}

async function picture({ images }: Images): Promise<Buffer> {
  const answer = await fetch(new URL(images[0]!.url!, api))
  expect(answer.headers.get('content-type')).toBe('image/png')
  return Buffer.from(await answer.arrayBuffer())
}
