import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PictureStoreConfig } from '@sdcpu/contract'
import { Redis } from 'ioredis'
import S3rver from 's3rver'
import { expect, it, onTestFinished } from 'vitest'
import { openPictureStore, type PictureStore } from './picture-store.ts'

const picture = { id: 'fox', index: 1 }
const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i % 251)

async function openRedisStore({ ttlSeconds = 100 } = {}): Promise<PictureStore> {
  const redis = new Redis(process.env.TEST_REDIS_URL ?? '')
  onTestFinished(() => redis.disconnect())
  const prefix = `{test-${randomUUID()}}`
  return openPictureStore(PictureStoreConfig.parse({}), { redis, prefix, ttlSeconds })
}

/** A store in a bucket of a real server. */
async function openBucketStore({ ttlSeconds = 100, bucket = 'pictures' } = {}): Promise<PictureStore> {
  const directory = mkdtempSync(join(tmpdir(), 'bucket-'))
  const server = new S3rver({
    ...{ address: '127.0.0.1', port: 0, silent: true, directory },
    configureBuckets: [{ name: 'pictures' }],
  })
  const { port } = await server.run()
  onTestFinished(async () => {
    await server.close()
    rmSync(directory, { recursive: true })
  })
  const config = PictureStoreConfig.parse({
    PICTURE_STORE: 's3',
    S3_BUCKET: bucket,
    S3_PREFIX: 'drawn/',
    S3_ENDPOINT: `http://127.0.0.1:${port}`,
    S3_PATH_STYLE: 'true',
    AWS_ACCESS_KEY_ID: 'S3RVER',
    AWS_SECRET_ACCESS_KEY: 'S3RVER',
  })
  return openPictureStore(config, { redis: undefined as never, prefix: '', ttlSeconds })
}

it.each([
  ['Redis', openRedisStore],
  ['a bucket', openBucketStore],
])('keeps pictures in %s, byte for byte, until they are removed', async (_, open) => {
  const store = await open()
  expect(await store.read(picture)).toBeUndefined()
  expect(await store.has(picture)).toBe(false)
  await store.save(picture, bytes, 'image/png')
  await store.save(picture, bytes.toReversed(), 'image/png') // a repeat
  expect(Buffer.from((await store.read(picture))!).equals(Buffer.from(bytes.toReversed()))).toBe(true)
  expect(await store.has(picture)).toBe(true)
  expect(await store.has({ id: 'fox', index: 0 })).toBe(false)
  await store.remove(picture)
  expect(await store.read(picture)).toBeUndefined()
  await store.remove(picture)
})

it.each([
  ['Redis', openRedisStore],
  ['a bucket', openBucketStore],
])('gives nothing out of %s after its time', async (_, open) => {
  const store = await open({ ttlSeconds: 1 })
  await store.save(picture, bytes, 'image/png')
  await new Promise((resolve) => setTimeout(resolve, 1200))
  expect(await store.read(picture)).toBeUndefined()
  expect(await store.has(picture)).toBe(false)
})

it('tells a bucket that is not there from a picture that is not there', async () => {
  const store = await openBucketStore({ bucket: 'nothing' })
  await expect(store.read(picture)).rejects.toThrow(/bucket does not exist/)
  await expect(store.save(picture, bytes, 'image/png')).rejects.toThrow(/bucket does not exist/)
})
