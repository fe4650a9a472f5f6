import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadModel } from '@sdcpu/diffusion'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { prepareModel } from './prepare-model.ts'
import { quantiseWeights } from './quantise-weights.ts'
import { int8Plan, weightLimitOf } from './scheme.ts'
import { openSource } from './source.ts'
import { buildUnet } from './unet.ts'
import { writeWeightPack } from './weight-pack.ts'

const MODEL = join(import.meta.dirname, 'fixtures/models/twolevels')

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-saturation-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** What `vpmaddubsw` makes of two products: their sum, cut to 16 bits. */
const pairSum = (a: number, w: number, b: number, v: number) =>
  Math.min(Math.max(a * w + b * v, -(2 ** 15)), 2 ** 15 - 1)

function dot(activations: number[], weights: Int8Array, pair: typeof pairSum): number {
  let sum = 0
  for (let i = 0; i < weights.length; i += 2)
    sum += pair(activations[i]!, weights[i]!, activations[i + 1]!, weights[i + 1]!)
  return sum
}
const exactPair: typeof pairSum = (a, w, b, v) => a * w + b * v

describe('on a CPU that adds pairs of products in 16 bits', () => {
  // Neighbours of one sign at full range, under activations at full range: the worst there is.
  const weights = Float32Array.from({ length: 64 }, (_, i) => (i % 4 < 2 ? 0.5 : -0.5))
  const activations = Array.from({ length: 64 }, (_, i) => (i % 4 < 2 ? 255 : 0))

  it.each(['avx2', 'avx512'] as const)('weights for %s give the exact sum', (cpuClass) => {
    const { high, rest } = quantiseWeights(weights, 1, weightLimitOf(cpuClass))
    for (const matrix of [high, rest])
      expect(dot(activations, matrix, pairSum)).toBe(dot(activations, matrix, exactPair))
  })

  it('weights for VNNI would not', () => {
    const { high } = quantiseWeights(weights, 1, weightLimitOf('vnni'))
    expect(dot(activations, high, pairSum)).not.toBe(dot(activations, high, exactPair))
  })
})

it.each([
  ['avx2', 64],
  ['avx512', 64],
  ['vnni', 127],
  ['amx', 127],
] as const)('a model compiled for %s has weights up to %i', async (cpuClass, limit) => {
  const source = await openSource(MODEL)
  const weights = await source.openPart('unet')
  const { steps } = buildUnet(source.unet, weights, {
    ...int8Plan(weightLimitOf(cpuClass)),
    schemeOf: () => 'int8x3',
  })
  const path = join(folder, `${cpuClass}.weights`)
  const pack = await writeWeightPack(path, 'x', steps[1].weights, weights)
  await weights.close()
  const bytes = await readFile(path)
  const matrices = pack.initializers.filter(({ type }) => type === 'int8')
  expect(matrices.length).toBeGreaterThan(10)
  for (const matrix of matrices) {
    if (!('offset' in matrix)) throw new Error('a weight is not in the pack')
    const values = new Int8Array(bytes.buffer, bytes.byteOffset + matrix.offset, matrix.bytes)
    const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
    if (matrix.name.endsWith('high')) expect(most, matrix.name).toBe(limit)
    else expect(most, matrix.name).toBeLessThanOrEqual(limit)
  }
})

it('is refused at load where its weights would overflow, and loads where they fit', async () => {
  const prepare = (cpuClass: 'vnni' | 'avx2') =>
    prepareModel({ model: MODEL, dataDir: folder, plan: 'int8', cpuClass, audit: false })
  const [wide, narrow] = [await prepare('vnni'), await prepare('avx2')]
  expect(wide.dir).not.toBe(narrow.dir)
  for (const cpuClass of ['avx2', 'avx512'] as const)
    await expect(loadModel(wide.dir, { threads: 1, cpuClass })).rejects.toThrow(
      `twolevels is compiled for CPUs of class vnni; this one is ${cpuClass}. Compile it on this machine`,
    )
  const model = await loadModel(narrow.dir, { threads: 1, cpuClass: 'avx2' })
  expect(model.manifest.cpuClass).toBe('avx2')
})
