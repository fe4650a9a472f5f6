import { cp, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadModel, readManifest } from '@sdcpu/diffusion'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chooseSchemes, countFiner, meetsBounds } from './audit.ts'
import type { Energies } from './graph-pool.ts'
import { prepareModel } from './prepare-model.ts'
import { expectSameInBatch } from './testing/same-in-batch.ts'

const MODEL = join(import.meta.dirname, 'fixtures/models/twolevels')

// An audit opens several hundred small graphs; on a busy machine that is minutes.
const AUDIT_MS = 600_000

let dataDir: string
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sd-audit-'))
})
afterAll(() => rm(dataDir, { recursive: true, force: true }))

type Entry = { dtype: string; shape: number[]; data_offsets: [number, number] }

/**
 * Makes two channels twenty times as large where transformer blocks read them, and the weights that read them twenty
 * times smaller: the network computes what it did, by way of outliers. Gives the number of tensors changed.
 */
async function plantOutliers(path: string): Promise<number> {
  const file = await open(path, 'r+')
  const length = Number((await file.read(Buffer.alloc(8), 0, 8, 0)).buffer.readBigUInt64LE())
  const header = JSON.parse((await file.read(Buffer.alloc(length), 0, length, 8)).buffer.toString())
  let planted = 0
  for (const [name, { dtype, shape, data_offsets }] of Object.entries<Entry>(header)) {
    const isNorm = /transformer_blocks\.\d+\.norm[123]\./.test(name)
    const isReader = /(attn1\.to_[qkv]|attn2\.to_q|ff\.net\.0\.proj)\.weight$/.test(name)
    if (!isNorm && !isReader) continue
    expect(dtype).toBe('BF16')
    const [begin, end] = data_offsets
    const { buffer } = await file.read(Buffer.alloc(end - begin), 0, end - begin, 8 + length + begin)
    const halves = new Uint16Array(buffer.buffer, buffer.byteOffset, buffer.length / 2)
    const width = shape.at(-1)!
    halves.forEach((half, i) => {
      if (i % width === 1 || i % width === 7) halves[i] = timesBfloat16(half, isNorm ? 20 : 1 / 20)
    })
    await file.write(buffer, 0, buffer.length, 8 + length + begin)
    planted++
  }
  await file.close()
  return planted
}

/** bfloat16 is the upper half of a float32. */
function timesBfloat16(half: number, factor: number): number {
  const value = new Float32Array(Uint32Array.of(half << 16).buffer)[0]!
  return new Uint32Array(Float32Array.of(factor * value).buffer)[0]! >>> 16
}

describe('a model with planted outlier channels', () => {
  let folder: string
  beforeAll(async () => {
    folder = join(dataDir, 'outliers')
    await cp(MODEL, folder, { recursive: true })
    const shards = (await readdir(join(folder, 'unet'))).filter((name) => name.endsWith('.safetensors'))
    let planted = 0
    for (const shard of shards) planted += await plantOutliers(join(folder, 'unet', shard))
    expect(planted).toBeGreaterThan(0)
  })

  it(
    'misses the bounds with one product a layer, and meets them once the audit has moved the worst',
    async () => {
      const messages: string[] = []
      const { dir, audit } = await prepareModel({
        model: folder,
        dataDir,
        plan: 'int8',
        threads: 1,
        onProgress: ({ message }) => messages.push(message),
      })
      expect(messages.filter((message) => message.includes('bounds'))[0]).toMatch(
        /^Out of bounds with 0 finer layers: latents \d+\.\d dB \(at least 20\)/,
      )
      expect(meetsBounds(audit!)).toBe(true)
      expect(audit!.moved).toBeGreaterThan(0)
      const { layers } = await readManifest(dir)
      // The VAE's encoder is float32 in every plan.
      const planned = Object.entries(layers!).filter(([name]) => !/^vae\/(encoder|quant_conv)/.test(name))
      const moved = planned.filter(([, scheme]) => scheme !== 'int8' && scheme !== 'int8-static')
      expect(moved).toHaveLength(audit!.moved)
      // Only what reads the outliers, or close to it: the rest stays cheap.
      expect(moved.length).toBeLessThan(planned.length / 2)
      expect(moved.map(([name]) => name).join()).toMatch(/transformer_blocks/)
    },
    AUDIT_MS,
  )
})

it(
  'leaves a well-behaved model as it is, and nothing but the model in its folder',
  async () => {
    const { dir, plan, audit } = await prepareModel({ model: MODEL, dataDir, plan: 'int8', threads: 1 })
    expect(plan).toBe('int8')
    expect(audit).toMatchObject({ prompts: 3, moved: 0 })
    expect(meetsBounds(audit!)).toBe(true)
    expect(audit!.pictureMs.fp32).toBeGreaterThan(0)
    const manifest = await readManifest(dir)
    const block = 'unet/mid_block.attentions.0.transformer_blocks.0'
    expect(manifest.layers).toMatchObject({
      [`${block}.attn1.to_q`]: 'int8-static',
      [`${block}.ff.net.0.proj`]: 'int8-static',
      [`${block}.ff.net.2`]: 'int8',
    })
    const expected = [...Object.keys(manifest.files).map((name) => name.split('/')[0]), 'model.json']
    expect((await readdir(dir)).sort()).toEqual([...new Set(expected)].sort())
    const inputs = ['a panda', 'two dogs on the moon', ''].map((prompt, i) => ({
      ...{ prompt, seed: 7 + i },
      ...{ width: 104, height: 72, steps: 2 },
    }))
    await expectSameInBatch(await loadModel(dir, { threads: 2 }), inputs)
  },
  AUDIT_MS,
)

it(
  'takes with auto the plan that drew faster here, and keeps the figures either way',
  async () => {
    const options = { model: MODEL, dataDir, plan: 'auto', smallBytes: 0, threads: 1 } as const
    const { dir, plan, audit } = await prepareModel(options)
    const { fp32, int8 } = audit!.pictureMs
    expect(plan).toBe(int8 < fp32 ? 'int8' : 'fp32')
    expect(JSON.parse(await readFile(join(dir, 'model.json'), 'utf8')).audit).toEqual(audit)
    expect(await prepareModel(options)).toEqual({ dir, plan, audit })
  },
  AUDIT_MS,
)

it('takes fp32 with auto where the model is too small to win by int8, or is not to be audited', async () => {
  const small = await prepareModel({ model: MODEL, dataDir, plan: 'auto' })
  const unaudited = await prepareModel({ model: MODEL, dataDir, plan: 'auto', smallBytes: 0, audit: false })
  for (const { plan, audit } of [small, unaudited]) {
    expect(plan).toBe('fp32')
    expect(audit).toBeUndefined()
  }
})

describe('chooseSchemes', () => {
  const tried = (
    exact: number,
    int8: number,
    int8x2: number,
    int8x3: number,
    constant?: number,
  ): Energies => ({
    exact,
    errors: { int8, int8x2, int8x3, ...(constant !== undefined && { 'int8-static': constant }) },
  })
  const energies = new Map([
    ['even', tried(1, 1e-4, 1e-5, 1e-8, 5e-4)],
    ['uneven', tried(1, 1e-4, 1e-5, 1e-8, 5e-3)],
    ['good', tried(1, 1e-4, 1e-5, 1e-8)],
    ['outliers', tried(1, 1e-2, 1e-5, 1e-8, 1e-2)],
    ['wild weights', tried(1, 1e-2, 1e-2, 1e-8)],
    ['hopeless', tried(1, 1e-2, 1e-2, 1e-2)],
    ['broken', tried(Number.POSITIVE_INFINITY, Number.NaN, Number.NaN, Number.NaN, Number.NaN)],
    ['exact', tried(1, 0, 0, 0)],
  ])
  const ranges = new Map([...energies.keys()].map((layer, i) => [layer, i + 1]))
  const FINER = { outliers: 'int8x2', 'wild weights': 'int8x3', hopeless: 'fp32', broken: 'fp32' }

  it('takes the cheapest scheme that is far enough from noise, and float32 where none is', () => {
    expect(chooseSchemes({ energies, ranges }, { leastDb: 30 })).toEqual({ schemes: FINER, ranges: {} })
  })

  it('takes a constant scale where one is allowed and does well, and says its range', () => {
    const choices = chooseSchemes({ energies, ranges }, { leastDb: 30, staticDb: 30 })
    expect(choices).toEqual({ schemes: { even: 'int8-static', ...FINER }, ranges: { even: 1 } })
    expect(countFiner(choices)).toBe(4)
  })

  it('moves more for a stricter bound', () => {
    const { schemes } = chooseSchemes({ energies, ranges }, { leastDb: 45 })
    expect(Object.keys(schemes)).toContain('good')
  })
})
