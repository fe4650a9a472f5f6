import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEngine } from '@sdcpu/diffusion'
import { prepareModel } from '@sdcpu/model-compiler'
import fastify from 'fastify'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type EngineHost, hostEngine } from './engine-host.ts'
import { addMetrics } from './metrics.ts'

const DEMO = join(import.meta.dirname, '../../../models/demo')
const app = fastify()

let dataDir: string
let engine: EngineHost | undefined
let rssBytes = 0
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sdcpu-metrics-'))
  addMetrics(app, () => engine?.stats())
})
afterAll(async () => {
  await engine?.close()
  await app.close()
  await rm(dataDir, { recursive: true, force: true })
})

/** What `/metrics` says of the engine's caches, by the name and labels of each series. */
async function cacheMetrics(): Promise<Record<string, number>> {
  const { body } = await app.inject('/metrics')
  const series = [...body.matchAll(/^sd_prompt_cache_(\w+)\{cache="(\w+)"(?:,outcome="(\w+)")?\} (\S+)$/gm)]
  return Object.fromEntries(
    series.map(([, name, cache, outcome, value]) => [[name, cache, outcome].join(' ').trim(), Number(value)]),
  )
}

it('tells Prometheus which prompts the engine had kept, also after the engine was replaced', async () => {
  expect(await cacheMetrics()).toEqual({})
  const { dir } = await prepareModel({ model: DEMO, dataDir, plan: 'fp32' })
  engine = await hostEngine(() => startEngine({ modelDir: dir, threads: 2 }), {
    ...{ maxRssBytes: 1, log: { warn: () => {} }, onRecycle: () => {} },
    rssBytes: () => rssBytes,
  })
  const input = { seed: 7, width: 64, height: 64, steps: 1 }
  await engine.generate([{ ...input, prompt: 'a fox' }])
  await engine.generate([{ ...input, prompt: 'a fox' }])
  await engine.generate([{ ...input, prompt: 'an owl' }])
  const drawn = await cacheMetrics()
  for (const cache of ['embeddings', 'cross_attention']) {
    expect(drawn[`lookups_total ${cache} hit`]).toBe(1)
    expect(drawn[`lookups_total ${cache} miss`]).toBe(2)
    expect(drawn[`bytes ${cache}`]).toBeGreaterThan(1000)
  }

  rssBytes = 2
  const replacing = engine.recycleIfGrown()
  rssBytes = 0
  await replacing
  await engine.generate([{ ...input, prompt: 'a fox' }])
  const later = await cacheMetrics()
  expect(later['lookups_total embeddings hit']).toBe(1)
  expect(later['lookups_total embeddings miss']).toBe(3)
  expect(later['bytes embeddings']).toBeLessThan(drawn['bytes embeddings']!)
})
