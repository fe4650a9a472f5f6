import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { countMacs, oneThreadUs, readProfile, speedUp, summarizeProfiles } from './profile.ts'

// Recorded with ONNX Runtime 1.30 at one thread, two runs, other fields left out: two int8 products, the first with a scale
// a row; and of the last run of `vae_mid` of the fixture model twolevels at 8 x 16 latents, the kernels tested here.
const read = (name: string) =>
  readFileSync(join(import.meta.dirname, 'fixtures', `${name}.profile.json`), 'utf8')
const int8 = readProfile(read('int8'), { lastRunOnly: true })
const vae = readProfile(read('vae_mid'))

describe('readProfile', () => {
  it('takes all runs, or the last alone', () => {
    expect(readProfile(read('int8'))).toMatchObject({ totalUs: 8842 + 147 })
    expect(readProfile(read('int8')).kernels).toHaveLength(10)
    expect(int8.totalUs).toBe(147)
    expect(int8.kernels.map(({ us }) => us)).toEqual([32, 28, 15, 7, 19])
  })

  it('counts what runs inside a Scan once', () => {
    const shapes = { input_type_shape: [{ float: [2, 3] }], output_type_shape: [{ float: [2, 3] }] }
    const kernel = (name: string, op_name: string, ts: number, dur: number) => ({
      ...{ cat: 'Node', name: `${name}_kernel_time`, ts, dur },
      args: { op_name, ...shapes },
    })
    const run = { cat: 'Session', name: 'model_run', ts: 1, dur: 100 }
    const events = [kernel('inner', 'Add', 3, 40), kernel('outer', 'Scan', 2, 60), run]
    const profile = readProfile(JSON.stringify(events))
    expect(profile.kernels.map(({ op }) => op)).toEqual(['Add'])
    expect(summarizeProfiles([profile]).executorShare).toBeCloseTo(0.6)
  })

  it('reads the kernels of the blocked layout too', () => {
    expect(vae.kernels.filter(({ op }) => op === 'Conv')).toHaveLength(5)
  })
})

describe('countMacs', () => {
  it('counts products whose weights the profile leaves out', () => {
    expect(int8.kernels.map(countMacs)).toEqual([0, 64 * 96 * 128, 0, 0, 64 * 96 * 192])
  })

  it('counts convolutions as computed, padded to blocks of 16 channels', () => {
    const [first, second] = vae.kernels.filter(({ op }) => op === 'Conv').map(countMacs)
    expect(first).toBe(16 * 8 * 16 * 4 * 9)
    expect(second).toBe(16 * 8 * 16 * 12 * 9)
  })

  it('counts scores and sums of attention', () => {
    const attention = vae.kernels.find(({ op }) => op === 'MultiHeadAttention')!
    expect(countMacs(attention)).toBe(2 * 128 * 128 * 12)
  })

  it('refuses to guess a convolution', () => {
    const conv = { op: 'Conv', us: 1, inputs: [[1, 4, 8, 8]], outputs: [[1, 8, 8, 8]] }
    expect(() => countMacs(conv)).toThrow("does not tell the shape of a Conv's weights, only [1,4,8,8]")
  })
})

describe('oneThreadUs', () => {
  it('takes a quantisation by rows, a copy, and of a product by rows the scaling alone', () => {
    const [quantise, product, concat, quantiseWhole, productWhole] = int8.kernels.map(oneThreadUs)
    expect([quantise, concat, quantiseWhole, productWhole]).toEqual([32, 15, 0, 0])
    expect(product).toBeCloseTo((64 * 96 * 0.46) / 1000)
  })

  it('takes a Reshape and a Transpose with all their time', () => {
    const run = (op: string, us: number) => ({ op, us, inputs: [[4, 6]], outputs: [[6, 4]] })
    expect([run('Reshape', 250), run('Transpose', 40), run('Mul', 9)].map(oneThreadUs)).toEqual([250, 40, 0])
  })

  it('takes a reordering to channels-last, and not one to channels-first', () => {
    const reorders = vae.kernels.filter(({ op }) => op === 'ReorderOutput')
    const alone = reorders.filter((run) => oneThreadUs(run) > 0)
    expect(alone.map(({ outputs }) => outputs[0]!)).toEqual(Array(5).fill([1, 8, 16, 12]))
    expect(reorders).toHaveLength(9)
  })
})

describe('summarizeProfiles', () => {
  it('gives shares of the whole time, the time between kernels included', () => {
    const { totalUs, gmac, oneThreadShare, executorShare, kernels } = summarizeProfiles([int8])
    expect(totalUs).toBe(147)
    expect(gmac).toBeCloseTo(1_966_080 / 1e9, 12)
    expect(oneThreadShare).toBeCloseTo((32 + 15 + 2.826) / 147, 5)
    expect(executorShare).toBeCloseTo((147 - 101) / 147, 10)
    expect(kernels.map(({ op, runs }) => `${op} ${runs}`)).toEqual([
      'MatMulIntegerToFloat 2',
      'QuantizeLinear 2',
      'Concat 1',
    ])
    expect(kernels[1]).toMatchObject({ share: 39 / 147, oneThreadShare: 32 / 147 })
  })

  it('adds graphs up by their time', () => {
    const { totalUs, gmac, oneThreadShare } = summarizeProfiles([int8, vae])
    expect(totalUs).toBe(147 + 7570)
    expect(gmac).toBeCloseTo((1_966_080 + 1_443_536) / 1e9, 12)
    expect(oneThreadShare).toBeCloseTo((32 + 15 + 2.826 + 55) / (147 + 7570), 5)
  })
})

describe('speedUp', () => {
  it('is the number of cores where all can be shared, and is bounded by what cannot', () => {
    expect(speedUp(0, 16)).toBe(16)
    expect(speedUp(0.03, 16)).toBeCloseTo(11.03, 2)
    expect(speedUp(0.03, 1e9)).toBeCloseTo(1 / 0.03, 3)
  })
})
