import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import {
  BatchTimes,
  batchTimesKey,
  canceledKey,
  type ImageJob,
  type ImageResult,
  imageBytesKey,
  imageJobId,
  imagesQueueName,
} from '@sdcpu/contract'
import { Queue } from 'bullmq'
import fastify from 'fastify'
import { Redis } from 'ioredis'
import sharp from 'sharp'
import { afterEach, expect, it, vi } from 'vitest'
import { loadConfig } from './config.ts'
import type { MemoryTable } from './memory.ts'
import { startProcessor } from './processor.ts'
import { createEngineDouble, type EngineDouble } from './testing/engine-double.ts'
import { testNamespace } from './testing/namespace.ts'

const eventually = <T>(check: () => T) => vi.waitFor(check, { timeout: 10_000 })

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

function setUp() {
  const { url, prefix } = testNamespace(process.env)
  const redis = new Redis(url, { maxRetriesPerRequest: null })
  const queue = new Queue<ImageJob, ImageResult>(imagesQueueName('demo'), { connection: redis, prefix })
  cleanups.push(async () => {
    await queue.close()
    redis.disconnect()
  })

  function start(engine: EngineDouble, env: Record<string, string> = {}, memory?: MemoryTable) {
    const config = loadConfig({ REDIS_URL: url, REDIS_PREFIX: prefix, ...env })
    const processor = startProcessor({ engine, memory, redis, config, log: fastify().log })
    cleanups.push(() => processor.drain())
    return processor
  }

  function add(jobs: { id: string; index?: number; side?: number; settings?: Partial<ImageJob> }[]) {
    return queue.addBulk(
      jobs.map(({ id, index = 0, side = 64, settings }) => ({
        name: 'image',
        data: {
          version: 1,
          id,
          index,
          prompt: `a ${id}`,
          seed: 7 + index,
          width: side,
          height: side,
          steps: 2,
          ...settings,
        },
        opts: { jobId: imageJobId(id, index), attempts: 2 },
      })),
    )
  }

  /** Does what the API does for a job that a worker holds. */
  const cancel = (id: string, index = 0) => redis.sadd(canceledKey(prefix, id), index)
  const stateOf = (id: string, index = 0) => queue.getJobState(imageJobId(id, index))
  const bytesOf = (id: string, index = 0) => redis.getBuffer(imageBytesKey(prefix, id, index))
  const allDone = (count: number) =>
    eventually(async () => expect(await queue.getCompletedCount()).toBe(count))
  return { redis, queue, prefix, start, add, cancel, stateOf, bytesOf, allDone }
}

it('stores the bytes with a TTL before the job is done, and returns how it was drawn', async () => {
  const { redis, queue, prefix, start, add, allDone } = setUp()
  start(createEngineDouble(), { RESULT_TTL_SECONDS: '100' })
  await add([{ id: 'fox' }])
  await allDone(1)
  const key = imageBytesKey(prefix, 'fox', 0)
  expect((await redis.getBuffer(key))?.toString()).toBe('a fox 7')
  expect(await redis.ttl(key)).toBeGreaterThan(95)
  const job = await queue.getJob('fox-0')
  expect(job?.returnvalue).toMatchObject({ seed: 7, width: 64, height: 64, steps: 2, batchSize: 1 })
  expect(job?.progress).toMatchObject({ begun: 1, step: 2 })
})

it('draws jobs of different callers in one batch', async () => {
  const { start, add, allDone } = setUp()
  const engine = createEngineDouble()
  await add([{ id: 'fox' }, { id: 'owl' }, { id: 'cat' }])
  start(engine, { BATCH_WINDOW_MS: '300' })
  await allDone(3)
  expect(engine.calls.map((inputs) => inputs.map(({ prompt }) => prompt))).toEqual([
    ['a fox', 'a owl', 'a cat'],
  ])
})

it('never mixes sizes in a batch, and draws an odd one in its turn', async () => {
  const { start, add, allDone } = setUp()
  const engine = createEngineDouble({ stepMs: 10 })
  await add([0, 1, 2, 3, 4, 5, 6, 7].map((index) => ({ id: 'many', index, side: index === 1 ? 128 : 64 })))
  start(engine, { BATCH_MAX_SIZE: '4', BATCH_WINDOW_MS: '300' })
  await allDone(8)
  expect(engine.calls.map((inputs) => inputs.map(({ width }) => width))).toEqual([
    [64, 64, 64, 64],
    [128],
    [64, 64, 64],
  ])
})

it('never mixes samplers, guidance or spacings in a batch, and fills each', async () => {
  const { start, add, allDone } = setUp()
  const engine = createEngineDouble({ stepMs: 10 })
  const plain: Partial<ImageJob> = { version: 2, sampler: 'euler_a', guidance: 1 }
  const kinds: Record<string, Partial<ImageJob>> = {
    plain,
    guided: { ...plain, guidance: 2, negativePrompt: 'blurry' },
    'guided without a negative prompt': { ...plain, guidance: 2 },
    lcm: { ...plain, sampler: 'lcm' },
    leading: { ...plain, timestepSpacing: 'leading' },
  }
  const both = Object.entries(kinds).map(([id, settings]) => ({ id, settings }))
  await add([...both, ...both.map((job) => ({ ...job, index: 1 }))])
  start(engine, { BATCH_MAX_SIZE: '6', BATCH_WINDOW_MS: '500' })
  await allDone(10)
  expect(engine.calls.map((inputs) => inputs.map(({ prompt }) => prompt.slice(2)).toSorted())).toEqual([
    ['plain', 'plain'],
    ['guided', 'guided', 'guided without a negative prompt', 'guided without a negative prompt'],
    ['lcm', 'lcm'],
    ['leading', 'leading'],
  ])
})

it('hands every setting of a job to the engine, and returns how long its prompts were', async () => {
  const { queue, start, add, allDone } = setUp()
  const engine = createEngineDouble()
  const settings: Partial<ImageJob> = {
    ...{ version: 2, sampler: 'dpmpp_2m', guidance: 2.5, negativePrompt: 'blurry and grey' },
    ...{ emphasis: true, timestepSpacing: 'linspace' },
  }
  await add([{ id: 'fox', settings }])
  start(engine)
  await allDone(1)
  const { version, ...given } = settings
  const shape = { seed: 7, width: 64, height: 64, steps: 2 }
  expect(engine.calls).toEqual([[{ prompt: 'a fox', ...shape, ...given }]])
  const job = await queue.getJob('fox-0')
  expect(job?.returnvalue).toMatchObject({
    promptTokens: 2,
    negativePromptTokens: 3,
    promptChunks: 1,
    warnings: [],
  })
})

it('draws again after one engine failure, each image alone', async () => {
  const { start, add, allDone } = setUp()
  const engine = createEngineDouble({ fails: (_inputs, earlier) => earlier === 0 })
  await add([{ id: 'fox' }, { id: 'owl' }])
  start(engine, { BATCH_WINDOW_MS: '300' })
  await allDone(2)
  expect(engine.calls.map((inputs) => inputs.length)).toEqual([2, 1, 1])
})

it('fails an image with a code when the engine fails twice, and takes no batch mate along', async () => {
  const { queue, start, add, stateOf, bytesOf, allDone } = setUp()
  const engine = createEngineDouble({ fails: (inputs) => inputs.some(({ prompt }) => prompt === 'a bad') })
  await add([{ id: 'bad' }, { id: 'good' }])
  start(engine, { BATCH_WINDOW_MS: '300' })
  await allDone(1)
  await eventually(async () => expect(await stateOf('bad')).toBe('failed'))
  expect((await queue.getJob('bad-0'))?.failedReason).toBe('generation_failed')
  expect(await bytesOf('bad')).toBeNull()
  expect(await stateOf('good')).toBe('completed')
})

it('gives up a running image that is canceled, and draws its batch mates', async () => {
  const { start, add, cancel, stateOf, bytesOf, allDone } = setUp()
  const engine = createEngineDouble({ stepMs: 300 })
  await add([{ id: 'fox' }, { id: 'owl' }])
  start(engine, { BATCH_WINDOW_MS: '300' })
  await eventually(() => expect(engine.calls.length).toBe(1))
  await cancel('owl')
  await allDone(1)
  await eventually(async () => expect(await stateOf('owl')).toBe('unknown'))
  expect(await bytesOf('owl')).toBeNull()
  expect((await bytesOf('fox'))?.toString()).toBe('a fox 7')
  expect(engine.stepsDone()).toBe(2)
})

it('stops the engine once every image of its batch is canceled, and keeps nothing of them', async () => {
  const { queue, start, add, cancel, stateOf } = setUp()
  const engine = createEngineDouble({ stepMs: 1000 })
  await add([{ id: 'fox' }])
  start(engine)
  await eventually(() => expect(engine.calls.length).toBe(1))
  await cancel('fox')
  await eventually(async () => expect(await stateOf('fox')).toBe('unknown'))
  expect(engine.stepsDone()).toBe(1) // of 2
  expect(await queue.getJob('fox-0')).toBeUndefined()
})

it('never begins an image that was canceled while it was held', async () => {
  const { start, add, cancel, stateOf, allDone } = setUp()
  const engine = createEngineDouble({ stepMs: 300 })
  await add([{ id: 'fox' }, { id: 'owl' }, { id: 'cat' }])
  start(engine, { BATCH_MAX_SIZE: '1', BATCH_WINDOW_MS: '0' })
  await eventually(() => expect(engine.calls.length).toBe(1))
  await cancel('owl')
  await allDone(2)
  expect(await stateOf('owl')).toBe('unknown')
  expect(engine.calls.flat().map(({ prompt }) => prompt)).not.toContain('a owl')
})

it('stores a JPEG where one was asked for, in one batch with PNGs', async () => {
  const { queue, start, bytesOf, allDone } = setUp()
  const png = await sharp({ create: { width: 64, height: 64, channels: 3, background: 'red' } })
    .png()
    .toBuffer()
  const engine = createEngineDouble({ png })
  const data = { version: 1 as const, prompt: 'a fox', seed: 7, width: 64, height: 64, steps: 2 }
  for (const [index, format] of (['jpeg', 'png', 'webp'] as const).entries())
    await queue.add('image', { ...data, id: 'fox', index, format }, { jobId: imageJobId('fox', index) })
  start(engine, { BATCH_WINDOW_MS: '300' })
  await allDone(3)
  expect(engine.calls.length).toBe(1)
  const formats = await Promise.all(
    [0, 1, 2].map(async (index) => (await sharp((await bytesOf('fox', index))!).metadata()).format),
  )
  expect(formats).toEqual(['jpeg', 'png', 'webp'])
})

it('makes batches as large as the memory allows, and refuses what does not fit at all', async () => {
  const { queue, start, add, stateOf, allDone } = setUp()
  const engine = createEngineDouble()
  await add([{ id: 'fox' }, { id: 'owl' }, { id: 'cat' }, { id: 'huge', side: 1024 }])
  const memory = {
    measure: <T>(_: object, work: () => Promise<T>) => work(),
    maxImages: (pixels: number) => Math.floor((2 * 64 * 64) / pixels),
    maxPixels: () => 2 * 64 * 64,
  }
  start(engine, { BATCH_WINDOW_MS: '300' }, memory)
  await allDone(3)
  expect(engine.calls.map((inputs) => inputs.length)).toEqual([2, 1])
  await eventually(async () => expect(await stateOf('huge')).toBe('failed'))
  expect((await queue.getJob('huge-0'))?.failedReason).toBe('size_too_large')
})

it('keeps the reason of a failure for the operator, and only the code for the caller', async () => {
  const { queue, start, add, stateOf } = setUp()
  await add([{ id: 'bad' }])
  start(createEngineDouble({ fails: () => true }))
  await eventually(async () => expect(await stateOf('bad')).toBe('failed'))
  const { logs } = await queue.getJobLogs('bad-0')
  expect(logs.length).toBe(2) // attempts
  expect(logs[0]).toContain('the engine double was told to fail')
})

it('keeps no picture that the operator’s service flags, and says why', async () => {
  const { queue, start, add, stateOf, bytesOf, allDone } = setUp()
  const server = createServer(async (request, response) => {
    const { prompt, stage } = JSON.parse(await text(request))
    response.end(JSON.stringify({ flagged: stage === 'image' && prompt === 'a bad', category: 'nudity' }))
  }).listen(0, '127.0.0.1')
  cleanups.push(async () => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await add([{ id: 'bad' }, { id: 'good' }])
  start(createEngineDouble(), { SAFETY_URL: `http://127.0.0.1:${port}` })
  await allDone(1)
  await eventually(async () => expect(await stateOf('bad')).toBe('failed'))
  expect(await queue.getJob('bad-0')).toMatchObject({ failedReason: 'flagged:nudity', attemptsMade: 1 })
  expect(await bytesOf('bad')).toBeNull()
  expect((await bytesOf('good'))?.toString()).toBe('a good 7')
})

it('never begins an image after its deadline, and finishes one that it began in time', async () => {
  const { queue, start, add, stateOf, allDone } = setUp()
  const engine = createEngineDouble({ stepMs: 700 })
  const [begun] = await add([{ id: 'begun' }, { id: 'held' }])
  await begun?.updateData({ ...begun.data, expiresAtMs: Date.now() + 1000 })
  const held = await queue.getJob('held-0')
  await held?.updateData({ ...held.data, expiresAtMs: Date.now() + 1000 })
  start(engine, { BATCH_MAX_SIZE: '1', BATCH_WINDOW_MS: '0' })
  await allDone(1)
  await eventually(async () => expect(await stateOf('held')).toBe('failed'))
  expect(await queue.getJob('held-0')).toMatchObject({
    failedReason: 'deadline_exceeded',
    attemptsMade: 1,
  })
  expect(engine.calls.flat().map(({ prompt }) => prompt)).toEqual(['a begun'])
})

it('tells how long batches take, by size and number', async () => {
  const { redis, prefix, start, add, allDone } = setUp()
  await add([{ id: 'fox' }, { id: 'owl' }, { id: 'cat', side: 128 }])
  start(createEngineDouble({ stepMs: 50 }), { BATCH_WINDOW_MS: '300' })
  await allDone(3)
  await eventually(async () => expect(await redis.hlen(batchTimesKey(prefix, 'demo'))).toBe(2))
  const times = await redis.hgetall(batchTimesKey(prefix, 'demo'))
  expect(Object.keys(times).sort()).toEqual(['128x128 1 1', '64x64 1 2'])
  // The double says that a step takes 1 ms and spends 50.
  const { stepMs, restMs } = BatchTimes.parse(JSON.parse(times['64x64 1 2']!))
  expect(stepMs).toBe(1)
  expect(restMs).toBeGreaterThan(90)
})

it('fails a payload it does not understand at once', async () => {
  const { queue, start, stateOf } = setUp()
  const engine = createEngineDouble()
  start(engine)
  await queue.add('image', { version: 9 } as never, { jobId: 'odd-0', attempts: 2 })
  await eventually(async () => expect(await stateOf('odd')).toBe('failed'))
  const job = await queue.getJob('odd-0')
  expect(job).toMatchObject({ failedReason: 'internal', attemptsMade: 1 })
  expect(engine.calls).toEqual([])
})

it('gives up on a job that was begun three times and never ended', async () => {
  const { queue, start, add, stateOf } = setUp()
  const engine = createEngineDouble()
  const [job] = await add([{ id: 'poison' }])
  await job?.updateProgress({ begun: 3, step: 0 })
  start(engine)
  await eventually(async () => expect(await stateOf('poison')).toBe('failed'))
  expect((await queue.getJob('poison-0'))?.failedReason).toBe('generation_failed')
  expect(engine.calls).toEqual([])
})

it('draws a job alone that was begun before', async () => {
  const { start, add, allDone } = setUp()
  const engine = createEngineDouble()
  const [first] = await add([{ id: 'suspect' }, { id: 'owl' }, { id: 'cat' }])
  await first?.updateProgress({ begun: 1, step: 1 })
  start(engine, { BATCH_WINDOW_MS: '300' })
  await allDone(3)
  expect(engine.calls.map((inputs) => inputs.length)).toEqual([1, 2])
})

it('finishes the batch that runs when drained, and hands the rest back in order and unharmed', async () => {
  const { queue, start, add, stateOf } = setUp()
  const engine = createEngineDouble({ stepMs: 300 })
  await add([0, 1, 2, 3].map((index) => ({ id: 'fox', index })))
  const processor = start(engine, { BATCH_MAX_SIZE: '2' })
  await eventually(() => expect(engine.calls.length).toBe(1))
  await eventually(async () => expect(await queue.getActiveCount()).toBe(4)) // two of them only held
  await processor.drain()
  expect(await Promise.all([0, 1, 2, 3].map((index) => stateOf('fox', index)))).toEqual([
    'completed',
    'completed',
    'waiting',
    'waiting',
  ])
  const waiting = await queue.getJobs(['waiting'], 0, -1, true)
  expect(waiting.map((job) => [job.id, job.attemptsMade, job.progress])).toEqual([
    ['fox-2', 0, 0],
    ['fox-3', 0, 0],
  ])
  expect(engine.calls.length).toBe(1)
})
