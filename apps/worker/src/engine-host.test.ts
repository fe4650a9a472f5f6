import { expect, it } from 'vitest'
import { hostEngine } from './engine-host.ts'
import { createEngineDouble, type EngineDouble } from './testing/engine-double.ts'

async function setUp(rss: number[]) {
  const engines: (EngineDouble & { isClosed: boolean })[] = []
  let recycled = 0
  const host = await hostEngine(
    async () => {
      const engine = Object.assign(createEngineDouble(), { isClosed: false })
      engine.close = async () => {
        engine.isClosed = true
      }
      engines.push(engine)
      return engine
    },
    {
      ...{ maxRssBytes: 100, log: { warn: () => {} }, rssBytes: () => rss.shift() ?? 0 },
      onRecycle: () => recycled++,
    },
  )
  return { host, engines, recycled: () => recycled }
}

const input = { prompt: 'a fox', seed: 7, width: 64, height: 64, steps: 1 }

it('keeps an engine that stays small', async () => {
  const { host, engines } = await setUp([100])
  await host.recycleIfGrown()
  expect(engines.length).toBe(1)
})

it('replaces one that has grown, and draws on with the new one', async () => {
  const { host, engines, recycled } = await setUp([101, 60])
  await host.recycleIfGrown()
  await host.generate([input])
  expect(engines.map(({ isClosed, calls }) => [isClosed, calls.length])).toEqual([
    [true, 0],
    [false, 1],
  ])
  expect(recycled()).toBe(1)
})

it('counts on where the engine before left off', async () => {
  const { host, engines } = await setUp([101, 60])
  const caches = (hits: number, misses: number, bytes: number) => {
    const one = { hits, misses, bytes, entries: 1, maxBytes: 100 }
    return { caches: { embeddings: one, promptKeys: { ...one, hits: hits + 1 } } }
  }
  engines[0]!.stats = () => caches(3, 2, 50)
  await host.recycleIfGrown()
  engines[1]!.stats = () => caches(10, 20, 7)
  const { embeddings, promptKeys } = host.stats().caches
  expect(embeddings).toMatchObject({ hits: 13, misses: 22, bytes: 7 })
  expect(promptKeys).toMatchObject({ hits: 15, misses: 22, bytes: 7 })
})

it('gives up when a new engine does not help', async () => {
  const { host } = await setUp([200, 150])
  await expect(host.recycleIfGrown()).rejects.toThrow(
    'uses 150 bytes with a new engine, too; MAX_RSS_BYTES is 100',
  )
})

it('tells of the death of the engine it has now', async () => {
  const { host, engines } = await setUp([101, 60])
  await host.recycleIfGrown()
  engines[1]!.die(new Error('gone'))
  expect((await host.died).message).toBe('gone')
})
