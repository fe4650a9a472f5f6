import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConditioningGroup, encodePrompts, loadModel, sample } from '@sdcpu/diffusion'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { measureReference } from './audit.ts'
import { compileReference, type ReferenceProbes } from './compile.ts'
import { createGraphPool } from './graph-pool.ts'
import { DEMO_FOLDER } from './prepare-model.ts'
import { openSource } from './source.ts'

let dataDir: string
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sd-ranges-'))
})
afterAll(() => rm(dataDir, { recursive: true, force: true }))

describe('constant scales of the demo model', () => {
  let folder: string
  let reference: ReferenceProbes
  beforeAll(async () => {
    folder = join(dataDir, 'reference')
    reference = await compileReference(await openSource(DEMO_FOLDER), folder, {
      name: 'demo',
      plan: 'fp32',
      cpuClass: 'avx2',
      sourceHash: '0'.repeat(64),
      sourceFiles: {},
    })
  }, 60_000)

  it('are for the layers of a step that read what a LayerNorm made, and for no others', () => {
    const layers = Object.values(reference).flatMap(({ ranges }) => ranges.map(({ layer }) => layer))
    const kinds = new Set(layers.map((layer) => layer.replace(/^unet\/.*transformer_blocks\.\d+\./, '')))
    expect([...kinds].sort()).toEqual([
      'attn1.to_k',
      'attn1.to_q',
      'attn1.to_v',
      'attn2.to_q',
      'ff.net.0.proj',
    ])
  })

  it('hold what other prompts, more steps and guidance make the layers read', async () => {
    const { ranges } = await measureReference({ folder, threads: 2 }, reference)
    const pool = createGraphPool({ maxBytes: 6e9, reference })
    try {
      const model = await loadModel(folder, { threads: 2, openWith: pool.openWith })
      // With guidance a batch has more images than prompts.
      pool.noteRanges({ images: Number.POSITIVE_INFINITY })
      const positive = await encodePrompts(model, PROMPTS)
      const negative = await encodePrompts(
        model,
        PROMPTS.map(() => 'blurry'),
      )
      const group: ConditioningGroup = { images: [...PROMPTS.keys()], positive, negative }
      const options = { seeds: PROMPTS.map((_, i) => 100 + i), width: 256, height: 256 }
      await sample(model, positive, { ...options, steps: 1 })
      await sample(model, positive, { ...options, steps: 4 })
      await sample(model, [group], { ...options, steps: 12, guidance: 5 })
      const beyond = [...pool.ranges].filter(([layer, most]) => !(most <= ranges.get(layer)!))
      expect(beyond).toEqual([])
      // The margin is not idle: without it, some would be cut off.
      expect([...pool.ranges].some(([layer, most]) => most > ranges.get(layer)! / 1.5)).toBe(true)
    } finally {
      await pool.close()
    }
  }, 120_000)
})

const PROMPTS = [
  'a red fox on a green background',
  'two pandas at sunset',
  'a rubber duck in the rain',
  '',
  'a photo of a city at night with neon lights, wide angle',
  'an owl on a yellow background',
]
