import { describe, expect, it } from 'vitest'
import golden from './fixtures/sampler.golden.json' with { type: 'json' }
import { createGenerator, drawBatchNoise } from './noise.ts'
import { ancestralStep, type Denoise, sampleEulerAncestral, scaleModelInput, toDenoised } from './sampler.ts'
import { buildSchedule } from './schedule.ts'
import { SchedulerConfig } from './scheduler-config.ts'

const FOUR_STEPS = {
  timesteps: [999, 749, 499, 249],
  sigmas: [14.61464, 4.08173, 1.61289, 0.6932, 0],
}

describe('sampleEulerAncestral against diffusers’ step()', () => {
  it.each(golden.cases)(
    'ends within 1e-5 for $config.prediction_type, $config.timestep_spacing, $steps steps',
    async ({ config: raw, steps, latents: expected }) => {
      const config = SchedulerConfig.parse(raw)
      const schedule = buildSchedule(config, steps)
      const generators = golden.seeds.map(createGenerator)
      const noise = () => drawBatchNoise(generators, golden.valuesPerImage)
      // The stand-in for the model that training/fixtures/goldens_sampler.py uses.
      const denoise: Denoise = async (x, { sigma, timestep }) => {
        const output = scaleModelInput(x, sigma).map((value) => value * 0.75 + timestep / 4096)
        return toDenoised(output, x, sigma, config.prediction_type)
      }
      const start = noise().map((value) => value * schedule.initNoiseSigma)
      const latents = await sampleEulerAncestral(denoise, start, schedule, noise)
      expect(relativeDifference(latents, fromBase64(expected))).toBeLessThanOrEqual(1e-5)
    },
  )
})

describe('sampleEulerAncestral', () => {
  const answer = Float32Array.of(0.5, -1)
  const perfect: Denoise = async () => answer

  it('returns a perfect denoiser’s answer unchanged', async () => {
    const latents = await sampleEulerAncestral(perfect, Float32Array.of(9, 9), FOUR_STEPS, () =>
      Float32Array.of(3, -3),
    )
    expect(latents).toEqual(answer)
  })

  it('adds no noise on the last step', async () => {
    const asked: number[] = []
    await sampleEulerAncestral(perfect, Float32Array.of(9, 9), FOUR_STEPS, (step) => {
      asked.push(step)
      return Float32Array.of(0, 0)
    })
    expect(asked).toEqual([0, 1, 2])
  })

  it('leaves the latents it was given as they were', async () => {
    const start = Float32Array.of(9, 9)
    await sampleEulerAncestral(perfect, start, FOUR_STEPS, () => Float32Array.of(1, 1))
    expect(start).toEqual(Float32Array.of(9, 9))
  })

  it('tells the denoiser each level and reports the steps done', async () => {
    const levels: unknown[] = []
    const done: number[] = []
    const denoise: Denoise = async (_, level) => {
      levels.push(level)
      return answer
    }
    const onStep = (steps: number) => done.push(steps)
    await sampleEulerAncestral(denoise, answer, FOUR_STEPS, () => answer, { onStep })
    expect(done).toEqual([1, 2, 3, 4])
    expect(levels[1]).toEqual({ step: 1, timestep: 749, sigma: 4.08173 })
  })

  it('stops before the step at which it is aborted', async () => {
    let steps = 0
    const onStep = () => steps++
    const throwIfAborted = () => {
      if (steps === 2) throw new Error('canceled')
    }
    const sampling = sampleEulerAncestral(perfect, answer, FOUR_STEPS, () => answer, {
      onStep,
      throwIfAborted,
    })
    await expect(sampling).rejects.toThrow('canceled')
    expect(steps).toBe(2)
  })
})

describe('ancestralStep', () => {
  it('splits the variance of the next level: down² + up² = next²', () => {
    for (const [from, to] of [
      [14.61464, 4.08173],
      [1.61289, 0.6932],
      [0.5, 0.49],
    ] as const) {
      const { down, up } = ancestralStep(from, to)
      expect(down ** 2 + up ** 2).toBeCloseTo(to ** 2, 12)
    }
  })

  it('goes down to 0 without noise where the schedule ends', () => {
    expect(ancestralStep(14.61464, 0)).toEqual({ down: 0, up: 0 })
  })
})

describe('toDenoised', () => {
  it.each(['epsilon', 'v_prediction'] as const)(
    'recovers the clean latents a true %s was made from',
    (type) => {
      const [clean, noise, sigma] = [Float32Array.of(0.25, -1.5), Float32Array.of(2, -0.5), 3]
      const latents = clean.map((value, i) => value + sigma * noise[i]!)
      // Velocity in variance-exploding terms: (noise - sigma * clean) / sqrt(sigma² + 1).
      const velocity = clean.map((value, i) => (noise[i]! - sigma * value) / Math.sqrt(sigma ** 2 + 1))
      const denoised = toDenoised(type === 'epsilon' ? noise : velocity, latents, sigma, type)
      expect(relativeDifference(denoised, clean)).toBeLessThanOrEqual(1e-6)
    },
  )

  it('calls an output of another length a bug', () => {
    expect(() => toDenoised(new Float32Array(3), new Float32Array(4), 1, 'epsilon')).toThrow('This is a bug.')
  })
})

function fromBase64(text: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer)
}

/** The largest difference, in parts of the largest expected magnitude. */
function relativeDifference(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length)
  const scale = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
  return actual.reduce((max, value, i) => Math.max(max, Math.abs(value - expected[i]!)), 0) / scale
}
