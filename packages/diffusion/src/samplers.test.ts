import { describe, expect, it } from 'vitest'
import golden from './fixtures/samplers.golden.json' with { type: 'json' }
import { createGenerator, drawBatchNoise } from './noise.ts'
import { type Denoise, scaleModelInput, toDenoised } from './sampler.ts'
import { prepareSampler, SAMPLER_NAMES, type SamplerName } from './sampler-table.ts'
import { boundaryWeights } from './samplers.ts'
import { SchedulerConfig } from './scheduler-config.ts'

describe('every sampler against the loop of its diffusers scheduler', () => {
  it.each(golden.cases)(
    '$sampler ends within 1e-5 for $config.prediction_type, $config.timestep_spacing, $steps steps',
    async ({ sampler, config: raw, steps, latents: expected, timesteps: theirTimesteps, ...numbers }) => {
      const config = SchedulerConfig.parse(raw)
      const { initNoiseSigma, draw } = prepareSampler(sampler as SamplerName, config, steps)
      const generators = golden.seeds.map(createGenerator)
      const noise = () => drawBatchNoise(generators, golden.valuesPerImage)
      const timesteps: number[] = []
      const sigmas: number[] = []
      // The stand-in for the model that training/fixtures/goldens_samplers.py uses.
      const denoise: Denoise = async (x, { sigma, timestep }) => {
        timesteps.push(timestep)
        sigmas.push(sigma)
        const output = scaleModelInput(x, sigma).map((value) => value * 0.75 + timestep / 4096)
        return toDenoised(output, x, sigma, config.prediction_type)
      }
      const latents = await draw(
        denoise,
        noise().map((value) => value * initNoiseSigma),
        noise,
      )
      expect(relativeDifference(latents, fromBase64(expected))).toBeLessThanOrEqual(1e-5)
      expect(timesteps.length).toBe(theirTimesteps.length)
      // Fractional ones come of float32 logarithms, which differ in their last bit.
      timesteps.forEach((timestep, i) => {
        expect(Math.abs(timestep - theirTimesteps[i]!)).toBeLessThanOrEqual(
          Number.isInteger(theirTimesteps[i]) ? 0 : 1e-4,
        )
      })
      const isMidpoint = sampler === 'dpmpp_sde_karras'
      const theirs = 'sigmas' in numbers ? (numbers.sigmas ?? []) : []
      const asked = isMidpoint ? sigmas.filter((_, i) => i % 2 === 0) : sigmas
      const levels = isMidpoint ? theirs.filter((_, i) => i % 2 === 0) : theirs
      levels.slice(0, asked.length).forEach((sigma, i) => {
        expect(Math.abs(asked[i]! - sigma)).toBeLessThanOrEqual(1e-6 * sigma)
      })
    },
  )
})

describe.each(SAMPLER_NAMES)('%s', (name) => {
  const config = SchedulerConfig.parse({
    _class_name: 'EulerAncestralDiscreteScheduler',
    beta_schedule: 'scaled_linear',
    beta_start: 0.00085,
    beta_end: 0.012,
    timestep_spacing: 'trailing',
  })
  const answer = Float32Array.of(0.5, -1)
  const perfect: Denoise = async () => answer
  const noise = () => Float32Array.of(0.5, 0.25)

  it('returns a perfect denoiser’s answer, up to the noise of the lowest trained level', async () => {
    const { draw } = prepareSampler(name, config, 4)
    const latents = await draw(perfect, Float32Array.of(9, 9), noise)
    // TCD ends at sigma 0.029 like diffusers; the others at 0.
    const tolerance = name === 'tcd' ? 0.03 : 1e-6
    latents.forEach((value, i) => {
      expect(Math.abs(value - answer[i]!)).toBeLessThanOrEqual(tolerance)
    })
  })

  it('leaves the latents it was given as they were, reports its steps and stops when aborted', async () => {
    const start = Float32Array.of(9, 9)
    const done: number[] = []
    const throwIfAborted = () => {
      if (done.length === 3) throw new Error('canceled')
    }
    const drawing = prepareSampler(name, config, 4).draw(perfect, start, noise, {
      onStep: (step) => done.push(step),
      throwIfAborted,
    })
    await expect(drawing).rejects.toThrow('canceled')
    expect(done).toEqual([1, 2, 3])
    expect(start).toEqual(Float32Array.of(9, 9))
  })

  it('refuses 0 steps and more than it has noise levels for', () => {
    const most = name === 'lcm' || name === 'tcd' ? 50 : 1000
    for (const steps of [0, 1.5, most + 1])
      expect(() => prepareSampler(name, config, steps)).toThrow(
        `steps is ${steps}; it must be a whole number from 1 to ${most}`,
      )
  })
})

it('weighs a consistency model’s answer so that timestep 0 returns its input', () => {
  expect(boundaryWeights(0)).toEqual({ skip: 1, out: 0 })
  expect(boundaryWeights(999).out).toBeCloseTo(1, 8)
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
