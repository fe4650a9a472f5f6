import { type ImageJob, type ImageResult, imageBytesKey, imageJobId, imagesQueueName } from '@sdcpu/contract'
import { Queue } from 'bullmq'
import fastify from 'fastify'
import { Redis } from 'ioredis'
import { afterEach, expect, it, vi } from 'vitest'
import { loadConfig } from './config.ts'
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

  function start(engine: EngineDouble, env: Record<string, string> = {}) {
    const config = loadConfig({ REDIS_URL: url, REDIS_PREFIX: prefix, ...env })
    const processor = startProcessor({ engine, redis, config, log: fastify().log })
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

  const stateOf = (id: string, index = 0) => queue.getJobState(imageJobId(id, index))
  const bytesOf = (id: string, index = 0) => redis.getBuffer(imageBytesKey(prefix, id, index))
  const allDone = (count: number) =>
    eventually(async () => expect(await queue.getCompletedCount()).toBe(count))
  return { redis, queue, prefix, start, add, stateOf, bytesOf, allDone }
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
  expect(job?.progress).toEqual({ begun: 1, step: 2 })
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
