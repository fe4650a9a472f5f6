import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createChildren } from '../scripts/child-processes.ts'
import { freePort } from '../scripts/ports.ts'
import { startRedis } from '../scripts/redis.ts'
import { runScript } from '../scripts/run-script.ts'

const APPS = join(import.meta.dirname, '..', 'apps')
const READY_MS = 120_000

const children = createChildren()
let dataDir: string
let api: string

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sdcpu-guided-'))
  const redis = await startRedis({ children, log: console.log })
  const [apiPort, workerPort] = [await freePort(), await freePort()]
  api = `http://127.0.0.1:${apiPort}`
  const env = {
    ...process.env,
    ...{ REDIS_URL: redis.url, MODEL: 'demo', DATA_DIR: join(dataDir, 'data') },
    ...{ API_PORT: String(apiPort), WORKER_PORT: String(workerPort) },
  }
  for (const app of ['api', 'worker'])
    children.start({ name: app, program: process.execPath, args: [join(APPS, app, 'src/main.ts')], env })
  await until(
    () => get('/api/v1/models'),
    ({ models }) => models?.[0]?.status === 'ready',
  )
}, READY_MS)
afterAll(async () => {
  await children.stopAll()
  await rm(dataDir, { recursive: true, force: true })
})

it('draws over HTTP, with guidance and a sampler named as A1111 does, byte for byte what generate draws', async () => {
  const request = {
    ...{ prompt: 'a panda on a blue background', negativePrompt: 'yellow', guidance: 2, seed: 7 },
    ...{ sampler: 'DPM++ 2M Karras', steps: 3, size: '128x128' },
  }
  const created = await fetch(`${api}/api/v1/images`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
  })
  expect(created.status).toBe(202)
  const { id } = (await created.json()) as Answer
  const drawn = await until(
    () => get(`/api/v1/images/${id}`),
    ({ status }) => status !== 'queued' && status !== 'running',
  )
  expect(drawn.images[0]).toMatchObject({
    ...{ status: 'succeeded', promptTokens: 6, negativePromptTokens: 1, promptChunks: 1, warnings: [] },
  })
  const served = Buffer.from(await (await fetch(`${api}${drawn.images[0].url}`)).arrayBuffer())

  const args = [
    ...[request.prompt, '--negative', request.negativePrompt, '--guidance', '2', '--seed', '7'],
    ...['--sampler', 'dpmpp_2m_karras', '--steps', '3', '--size', '128x128', '--out', 'own.png'],
  ]
  const { code, stderr } = await runScript('generate.ts', args, { cwd: dataDir })
  expect(code, stderr).toBe(0)
  expect(served.equals(await readFile(join(dataDir, 'own.png')))).toBe(true)
  expect(served.toString('latin1')).toContain(
    'parameters\0a panda on a blue background\nNegative prompt: yellow\nSteps: 3, Sampler: DPM++ 2M Karras, CFG scale: 2, Seed: 7, Size: 128x128, Model: demo',
  )
})

// Answers of the API, whose schemas are not ours to import here.
// biome-ignore lint/suspicious/noExplicitAny: what is read of them is checked.
type Answer = any

async function get(path: string): Promise<Answer> {
  return (await fetch(`${api}${path}`)).json()
}

async function until(ask: () => Promise<Answer>, holds: (answer: Answer) => boolean): Promise<Answer> {
  const deadline = Date.now() + READY_MS
  for (;;) {
    const answer = await ask().catch(() => ({}))
    if (holds(answer)) return answer
    if (Date.now() > deadline) throw new Error(`Still ${JSON.stringify(answer)} after ${READY_MS} ms`)
    await sleep(100)
  }
}
