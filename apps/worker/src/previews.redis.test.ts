import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ImageJob, imageJobId, imagesQueueName, previewKey } from '@sdcpu/contract'
import { Queue } from 'bullmq'
import fastify from 'fastify'
import { Redis } from 'ioredis'
import sharp from 'sharp'
import { expect, it, onTestFinished, vi } from 'vitest'
import { loadConfig } from './config.ts'
import { startProcessor } from './processor.ts'
import { createEngineDouble } from './testing/engine-double.ts'
import { testNamespace } from './testing/namespace.ts'

/** Lets a worker whose engine draws nothing work off jobs of 4 steps, and gives what it told of previews. */
async function draw(jobs: Partial<ImageJob>[], env: Record<string, string> = {}) {
  const { url, prefix } = testNamespace(process.env)
  const redis = new Redis(url, { maxRetriesPerRequest: null })
  const queue = new Queue<ImageJob>(imagesQueueName('demo'), { connection: redis, prefix })
  const plain = { version: 2 as const, index: 0, prompt: 'a fox', seed: 7, width: 64, height: 64, steps: 4 }
  await queue.addBulk(
    jobs.map((job) => ({
      name: 'image',
      data: { ...plain, id: 'fox', ...job },
      opts: { jobId: imageJobId(job.id ?? 'fox', 0) },
    })),
  )
  const png = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
    .png()
    .toBuffer()
  const engine = createEngineDouble({ png })
  const config = loadConfig({ REDIS_URL: url, REDIS_PREFIX: prefix, BATCH_WINDOW_MS: '300', ...env })
  const processor = startProcessor({ engine, redis, config, log: fastify().log })
  onTestFinished(async () => {
    await processor.drain()
    await queue.close()
    redis.disconnect()
  })
  await vi.waitFor(async () => expect(await queue.getCompletedCount()).toBe(jobs.length), 10_000)
  const events = (await redis.xrange(queue.toKey('events'), '-', '+')).map(([, fields]) => fields)
  const told = events
    .filter(([, name]) => name === 'preview' || name === 'completed')
    .map((fields) => `${fields[1]} ${fields[fields.indexOf('jobId') + 1]}`)
  const previewOf = (id: string) => redis.hgetallBuffer(previewKey(prefix, id, 0))
  return { engine, redis, told, previewOf, key: previewKey(prefix, 'fox', 0) }
}

it('tells of each preview before the image is done, and keeps the newest for a while', async () => {
  const { redis, told, previewOf, key } = await draw([{ previews: 3 }])
  expect(told).toEqual(['preview fox-0', 'preview fox-0', 'preview fox-0', 'completed fox-0'])
  const { step, file } = await previewOf('fox')
  expect(String(step)).toBe('3')
  const { format, width, height, comments } = await sharp(file).metadata()
  expect({ format, width, height, comments }).toEqual({ format: 'png', width: 64, height: 64 })
  const ttl = await redis.ttl(key)
  expect(ttl).toBeGreaterThan(20)
  expect(ttl).toBeLessThanOrEqual(30)
})

it('shows previews in the format of the image', async () => {
  const { previewOf } = await draw([{ previews: 1, format: 'webp' }])
  expect((await sharp((await previewOf('fox')).file).metadata()).format).toBe('webp')
})

it('draws images that are shown apart from those that are not, and shows no other', async () => {
  const { engine, told, previewOf } = await draw([
    { id: 'fox', previews: 1 },
    { id: 'owl' },
    { id: 'cat', previews: 1 },
    { id: 'dog', previews: 2 },
  ])
  expect(engine.calls.map((inputs) => inputs.map(({ previews }) => previews))).toEqual([
    [1, 1],
    [undefined],
    [2],
  ])
  expect(told.filter((event) => event.startsWith('preview')).toSorted()).toEqual([
    'preview cat-0',
    'preview dog-0',
    'preview dog-0',
    'preview fox-0',
  ])
  expect(await previewOf('owl')).toEqual({})
})

it('shows no preview that the safety service refuses', async () => {
  const stages: string[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const { stage } = JSON.parse(text)
    stages.push(stage)
    // The first picture it is asked about is the preview.
    response.end(JSON.stringify({ flagged: stages.length === 1 }))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => void server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { told, previewOf } = await draw([{ previews: 1 }], { SAFETY_URL: url })
  expect(stages).toEqual(['image', 'image'])
  expect(told).toEqual(['completed fox-0'])
  expect(await previewOf('fox')).toEqual({})
})
