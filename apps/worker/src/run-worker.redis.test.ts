import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  type ImageJob,
  type ImageResult,
  imageBytesKey,
  imagesQueueName,
  MODEL_ALIVE_SECONDS,
  ModelDescription,
  modelAliveKey,
  modelKey,
  modelNamesKey,
  WorkerStatus,
  workerKey,
  workersKey,
} from '@sdcpu/contract'
import { Queue, QueueEvents } from 'bullmq'
import { Redis } from 'ioredis'
import { afterEach, expect, it, vi } from 'vitest'
import { testNamespace } from './testing/namespace.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

type Line = { msg: string; [field: string]: unknown }
type WorkerProcess = { child: ChildProcess; lines: Line[]; line(msg: string): Promise<Line> }

function setUp() {
  const { url, prefix } = testNamespace(process.env)
  const redis = new Redis(url)
  const queue = new Queue<ImageJob, ImageResult>(imagesQueueName('demo'), { connection: redis, prefix })
  cleanups.push(async () => {
    await queue.close()
    redis.disconnect()
  })

  /** Starts a real worker process with an engine double; `line` waits for one of its log lines. */
  function start(env: Record<string, string> = {}): WorkerProcess {
    const child = spawn(process.execPath, [new URL('./testing/main.ts', import.meta.url).pathname], {
      env: {
        ...process.env,
        REDIS_URL: url,
        REDIS_PREFIX: prefix,
        WORKER_PORT: '0',
        HOST: '127.0.0.1',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    cleanups.push(() => child.kill('SIGKILL'))
    const lines: Line[] = []
    let rest = ''
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n')
      rest = parts.pop() ?? ''
      lines.push(...parts.map((part) => JSON.parse(part)))
    })
    const line = (msg: string) =>
      vi.waitUntil(() => lines.find((one) => one.msg === msg), { timeout: 60_000, interval: 20 })
    return { child, lines, line }
  }

  const add = (index = 0, prompt = 'a fox') =>
    queue.add(
      'image',
      { version: 1, id: 'fox', index, prompt, seed: 7, width: 64, height: 64, steps: 4 },
      { jobId: `fox-${index}`, attempts: 2 },
    )
  /** Waits until the first job is being drawn. */
  const begun = () =>
    vi.waitFor(
      async () => expect((await queue.getJob('fox-0'))?.progress).toMatchObject({ begun: 1 }),
      10_000,
    )
  return { url, redis, prefix, queue, start, add, begun }
}

it('announces its model and is ready, which /readyz says', async () => {
  const { redis, prefix, start } = setUp()
  const worker = start()
  await worker.line('ready')
  const announced = JSON.parse((await redis.get(modelKey(prefix, 'demo'))) ?? 'null')
  expect(ModelDescription.parse(announced)).toEqual({
    ...{ name: 'demo', plan: 'fp32', family: 'turbo', nativeSize: 64, sizes: ['64x64'] },
    ...{ defaultSteps: 2, maxSteps: 8, defaultGuidance: 1, defaultSampler: 'euler_a' },
    timestepSpacing: 'trailing',
    drawsFromImage: true,
    licence: { id: 'mit', link: 'https://opensource.org/license/mit' },
  })
  expect(await redis.smembers(modelNamesKey(prefix))).toEqual(['demo'])
  const ttl = await redis.ttl(modelAliveKey(prefix, 'demo'))
  expect(ttl).toBeGreaterThan(40)
  expect(ttl).toBeLessThanOrEqual(MODEL_ALIVE_SECONDS)
  const listening = worker.lines.find(({ msg }) => msg.startsWith('Server listening at'))
  const origin = listening?.msg.split(' ').at(-1)
  expect((await fetch(`${origin}/healthz`)).status).toBe(200)
  expect((await fetch(`${origin}/readyz`)).status).toBe(200)
})

it('goes on telling that it lives, and what of its model', async () => {
  const { redis, prefix, start } = setUp()
  await start().line('ready')
  const keys = [modelAliveKey(prefix, 'demo'), modelKey(prefix, 'demo'), modelNamesKey(prefix)]
  await redis.del(keys)
  await vi.waitUntil(async () => (await redis.exists(keys)) === 3, { timeout: 45_000, interval: 200 })
}, 90_000)

it('offers a model by the name it is given, in a queue of that name', async () => {
  const { url, redis, prefix, start } = setUp()
  const queue = new Queue(imagesQueueName('Fox v2'), { connection: redis, prefix })
  cleanups.push(() => queue.close())
  const events = new QueueEvents(queue.name, { connection: { url }, prefix })
  await events.waitUntilReady()
  cleanups.push(() => events.close())
  await start({ MODEL: '/srv/models/fox', MODEL_NAME: 'Fox v2' }).line('ready')
  const shape = { width: 64, height: 64, steps: 1 }
  const job = await queue.add('image', { version: 1, id: 'fox', index: 0, prompt: 'x', seed: 7, ...shape })
  await job.waitUntilFinished(events)
  expect(await redis.smembers(modelNamesKey(prefix))).toEqual(['Fox v2'])
}, 120_000)

it('gives signs of life while it lives, and takes them back when it ends', async () => {
  const { redis, prefix, start } = setUp()
  const worker = start({ THREADS: '3', BATCH_MAX_SIZE: '2' })
  await worker.line('ready')
  const [id] = await redis.smembers(workersKey(prefix, 'demo'))
  const sign = JSON.parse((await redis.get(workerKey(prefix, 'demo', id!))) ?? 'null')
  expect(WorkerStatus.parse(sign)).toMatchObject({ id, plan: 'fp32', threads: 3, batchMaxSize: 2 })
  expect(await redis.ttl(workerKey(prefix, 'demo', id!))).toBeGreaterThan(5)
  worker.child.kill('SIGTERM')
  expect(await once(worker.child, 'exit')).toEqual([0, null])
  expect(await redis.exists(workerKey(prefix, 'demo', id!), workersKey(prefix, 'demo'))).toBe(0)
}, 120_000)

it('tells Prometheus what it drew, and names no prompt in its log', async () => {
  const { queue, start, add } = setUp()
  const worker = start()
  await worker.line('ready')
  await add(0, 'a secret garden')
  await vi.waitFor(async () => expect(await queue.getCompletedCount()).toBe(1), 10_000)
  const drew = await worker.line('drew a batch')
  expect(drew.images).toEqual([{ job: 'fox-0' }])
  expect(JSON.stringify(worker.lines)).not.toContain('secret')
  const listening = worker.lines.find(({ msg }) => msg.startsWith('Server listening at'))
  const body = await (await fetch(`${listening?.msg.split(' ').at(-1)}/metrics`)).text()
  for (const line of [
    'sd_images_total{outcome="succeeded"} 1',
    'sd_steps_total 4',
    'sd_batch_draw_seconds_count 1',
    'sd_image_wait_seconds_count 1',
    'sd_batch_fill_ratio_sum 0.25',
    'sd_stage_seconds_count{stage="denoise_step"} 4',
    'sd_wasted_cpu_seconds_total 0',
  ])
    expect(body).toContain(line)
  expect(body).toMatch(/^process_resident_memory_bytes \d+$/m)
}, 120_000)

it('says what it is doing until it is ready', async () => {
  const { start } = setUp()
  const worker = start({ STEP_MS: '3000' })
  await worker.line('drawing a warm-up image')
  const origin = worker.lines
    .find(({ msg }) => msg.startsWith('Server listening at'))
    ?.msg.split(' ')
    .at(-1)
  const answer = await fetch(`${origin}/readyz`)
  expect(answer.status).toBe(503)
  expect(await answer.json()).toMatchObject({
    error: { code: 'model_not_ready', message: 'drawing a warm-up image' },
  })
})

it('loses no image when the worker drawing it is killed: another draws it within 30 s, once', async () => {
  const { url, redis, prefix, queue, start, add, begun } = setUp()
  const events = new QueueEvents(queue.name, { connection: { url }, prefix })
  await events.waitUntilReady()
  cleanups.push(() => events.close())
  const completed: string[] = []
  events.on('completed', ({ jobId }) => completed.push(jobId))

  const doomed = start({ STEP_MS: '15000' }) // four steps are longer than the other takes to start
  await doomed.line('ready')
  const job = await add()
  await begun()
  const other = start()
  await other.line('ready')
  expect(await job.getState()).toBe('active')

  doomed.child.kill('SIGKILL')
  await vi.waitUntil(() => job.isCompleted(), { timeout: 30_000, interval: 100 })

  expect((await redis.getBuffer(imageBytesKey(prefix, 'fox', 0)))?.toString()).toBe('a fox 7')
  expect(await queue.getJob('fox-0')).toMatchObject({ progress: { begun: 2, step: 4 }, attemptsMade: 1 })
  expect(await queue.getJobCounts('completed', 'failed', 'active', 'waiting')).toEqual({
    completed: 1,
    failed: 0,
    active: 0,
    waiting: 0,
  })
  expect(completed).toEqual(['fox-0'])
}, 180_000)

it('finishes its batch on SIGTERM, puts back what it held and exits with 0', async () => {
  const { queue, start, add, begun } = setUp()
  const worker = start({ STEP_MS: '250', BATCH_MAX_SIZE: '1' })
  await worker.line('ready')
  await add(0)
  await add(1)
  await begun()
  await vi.waitFor(async () => expect(await queue.getActiveCount()).toBe(2), 10_000)
  worker.child.kill('SIGTERM')
  expect(await once(worker.child, 'exit')).toEqual([0, null])
  expect(await queue.getJobState('fox-0')).toBe('completed')
  expect(await queue.getJobState('fox-1')).toBe('waiting')
}, 120_000)

it('exits with 1 when the batch outlasts the grace', async () => {
  const { start, add, begun } = setUp()
  const worker = start({ STEP_MS: '1000', SHUTDOWN_GRACE_SECONDS: '1' })
  await worker.line('ready')
  await add()
  await begun()
  worker.child.kill('SIGTERM')
  expect(await once(worker.child, 'exit')).toEqual([1, null])
}, 120_000)

it('gives up an image that kills every worker, and draws all others', async () => {
  const { queue, start, add } = setUp()
  await add(0)
  await add(1, 'kill')
  for (let index = 2; index < 10; index++) await add(index)
  const impatient = { LOCK_DURATION_MS: '1000', STALLED_INTERVAL_MS: '500', BATCH_MAX_SIZE: '4' }
  let deaths = 0
  let stopped = false
  cleanups.push(() => {
    stopped = true
  })
  const keepOneRunning = () => {
    start(impatient).child.once('exit', () => {
      deaths++
      if (!stopped) keepOneRunning()
    })
  }
  keepOneRunning()
  await vi.waitUntil(async () => (await queue.getCompletedCount()) === 9, { timeout: 120_000, interval: 100 })
  await vi.waitUntil(async () => (await queue.getJobState('fox-1')) === 'failed', {
    timeout: 10_000,
    interval: 100,
  })
  stopped = true
  expect(deaths).toBe(3)
  expect((await queue.getJob('fox-1'))?.failedReason).toBe('generation_failed')
}, 180_000)

it('exits with 1 when its engine dies', async () => {
  const { start, add } = setUp()
  const worker = start()
  await worker.line('ready')
  await add(0, 'die')
  expect(await once(worker.child, 'exit')).toEqual([1, null])
  expect(worker.lines.at(-1)?.msg).toBe('the engine died')
}, 120_000)
