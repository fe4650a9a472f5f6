import { describe, expect, it } from 'vitest'
import golden from './fixtures/noise.golden.json' with { type: 'json' }
import { createGenerator, drawBatchNoise, drawNoise } from './noise.ts'

// Made by training/fixtures/goldens_noise.py. AVX2 is torch's nearest path; the others have their own logarithm.
const BOUNDS: Record<string, number> = { AVX2: 1e-6, AVX512: 3e-6, DEFAULT: 3e-6 }

describe.each(golden.cases)(
  'seed $seed against torch.randn on $capability',
  ({ capability, seed, draws }) => {
    it(`draws the same values in the same order within ${BOUNDS[capability]}`, () => {
      const generator = createGenerator(seed)
      for (const { count, values, sumOfMagnitudes } of draws) {
        const noise = drawNoise(generator, count)
        const kept = count > golden.longerThan ? noise.filter((_, i) => i % golden.stride === 0) : noise
        expect(maxDifference(kept, fromBase64(values))).toBeLessThanOrEqual(BOUNDS[capability]!)
        const sum = noise.reduce((total, value) => total + Math.abs(value), 0)
        expect(Math.abs(sum - sumOfMagnitudes) / count).toBeLessThanOrEqual(BOUNDS[capability]!)
      }
    })
  },
)

describe('drawNoise', () => {
  it('draws the last 16 values again when the count is no multiple of 16', () => {
    const [whole, more] = [drawNoise(createGenerator(3), 32), drawNoise(createGenerator(3), 33)]
    expect(more.subarray(0, 17)).toEqual(whole.subarray(0, 17))
    expect(more[17]).not.toBe(whole[17])
  })

  it('has mean 0 and variance 1 over a million values', () => {
    const noise = drawNoise(createGenerator(11), 2 ** 20)
    expect(noise.reduce((sum, value) => sum + value, 0) / noise.length).toBeCloseTo(0, 2)
    expect(noise.reduce((sum, value) => sum + value ** 2, 0) / noise.length).toBeCloseTo(1, 2)
  })
})

describe('drawBatchNoise', () => {
  it('gives an image the noise it would have alone, draw after draw', () => {
    const batch = [5, 6].map(createGenerator)
    const alone = createGenerator(6)
    for (const count of [140, 140, 3]) {
      expect(drawBatchNoise(batch, count).subarray(count)).toEqual(drawNoise(alone, count))
    }
  })
})

function fromBase64(text: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer)
}

function maxDifference(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length)
  return actual.reduce((max, value, i) => Math.max(max, Math.abs(value - expected[i]!)), 0)
}
