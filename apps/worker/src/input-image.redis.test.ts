import { batchTimesKey, type ImageJob, imageJobId, imagesQueueName, inputImageKey } from '@sdcpu/contract'
import { readPicture } from '@sdcpu/diffusion'
import { Queue } from 'bullmq'
import fastify from 'fastify'
import { Redis } from 'ioredis'
import sharp from 'sharp'
import { afterEach, expect, it, vi } from 'vitest'
import { loadConfig } from './config.ts'
import { startProcessor } from './processor.ts'
import { createEngineDouble } from './testing/engine-double.ts'
import { testNamespace } from './testing/namespace.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

const RED = await sharp({ create: { width: 40, height: 30, channels: 3, background: 'red' } })
  .jpeg()
  .toBuffer()
const SIZE = { width: 64, height: 64 }

/** Starts a worker whose engine draws nothing, with jobs that wait already and the images they begin with. */
async function draw(jobs: { id: string; file?: Buffer; strength?: number }[]) {
  const { url, prefix } = testNamespace(process.env)
  const redis = new Redis(url, { maxRetriesPerRequest: null })
  const queue = new Queue<ImageJob>(imagesQueueName('demo'), { connection: redis, prefix })
  cleanups.push(async () => {
    await queue.close()
    redis.disconnect()
  })
  for (const { id, file } of jobs) if (file) await redis.set(inputImageKey(prefix, id), file, 'EX', 100)
  await queue.addBulk(
    jobs.map(({ id, strength }) => ({
      name: 'image',
      data: {
        ...{ version: strength === undefined ? 2 : 3, id, index: 0, prompt: id, seed: 7, steps: 2, strength },
        ...SIZE,
      },
      opts: { jobId: imageJobId(id, 0), attempts: 2 },
    })),
  )
  const engine = createEngineDouble()
  const env = { REDIS_URL: url, REDIS_PREFIX: prefix, BATCH_WINDOW_MS: '500' }
  const processor = startProcessor({ engine, redis, config: loadConfig(env), log: fastify().log })
  cleanups.push(() => processor.drain())
  await vi.waitFor(
    async () => expect((await queue.getCompletedCount()) + (await queue.getFailedCount())).toBe(jobs.length),
    { timeout: 10_000 },
  )
  const reasonOf = async (id: string) => (await queue.getJob(imageJobId(id, 0)))?.failedReason
  const timesOf = async (kind: string) =>
    JSON.parse((await redis.hget(batchTimesKey(prefix, 'demo'), kind)) ?? '{}')
  return { engine, reasonOf, timesOf }
}

it('hands the engine the image fitted to the size, in batches of one strength', async () => {
  const { engine } = await draw([
    { id: 'fox', file: RED, strength: 0.5 },
    { id: 'owl', file: RED, strength: 1 },
    { id: 'cat' },
    { id: 'dog', file: RED, strength: 0.5 },
  ])
  // Jobs with and without an image to read arrive at the batcher in no fixed order.
  const batches = engine.calls.map((inputs) => inputs.map(({ prompt }) => prompt).toSorted())
  expect(batches.toSorted()).toEqual([['cat'], ['dog', 'fox'], ['owl']])
  const drawn = engine.calls.flat()
  const fox = drawn.find(({ prompt }) => prompt === 'fox')
  expect(fox).toMatchObject({ strength: 0.5, image: { width: 64, height: 64 } })
  const { rgb } = await readPicture(RED, SIZE)
  expect(Buffer.compare((fox!.image as { rgb: Uint8Array }).rgb, rgb)).toBe(0)
  expect(drawn.find(({ prompt }) => prompt === 'cat')).not.toHaveProperty('image')
})

it('measures the time to encode images apart, and keeps it when a batch without any follows', async () => {
  const { timesOf } = await draw([
    { id: 'owl', file: RED, strength: 1 },
    { id: 'cat' },
    { id: 'fox', file: RED, strength: 0.5 },
    { id: 'dog', file: RED, strength: 0.5 },
  ])
  const patient = { timeout: 10_000 }
  await vi.waitFor(async () => expect(await timesOf('64x64 1 1')).toMatchObject({ batches: 2 }), patient)
  await vi.waitFor(async () => expect(await timesOf('64x64 1 2')).toMatchObject({ batches: 1 }), patient)
  for (const kind of ['64x64 1 1', '64x64 1 2'])
    expect(await timesOf(kind)).toMatchObject({ stepMs: 1, encodeImageMs: 30 })
})

it('gives up a damaged image and one that is gone at once, and draws their batch mates', async () => {
  const { engine, reasonOf } = await draw([
    { id: 'fox', file: RED, strength: 0.5 },
    { id: 'damaged', file: RED.subarray(0, RED.length / 2), strength: 0.5 },
    { id: 'gone', strength: 0.5 },
    { id: 'owl', file: RED, strength: 0.5 },
  ])
  expect(engine.calls.map((inputs) => inputs.map(({ prompt }) => prompt).toSorted())).toEqual([
    ['fox', 'owl'],
  ])
  expect(await reasonOf('damaged')).toBe('invalid_request')
  expect(await reasonOf('gone')).toBe('expired')
})
