import { createMersenneTwister } from './mersenne-twister.ts'

/** A seeded source of noise; drawing from it moves it on, as with `torch.Generator` on CPU. */
export type Generator = {
  nextUint32: () => number
  /** Second value of the last pair a short draw made; the next short draw starts with it. */
  spare: number | undefined
}

const BLOCK = 16 // torch fills at least this many values in blocks of 8 cosines and 8 sines
const HALF_BLOCK = BLOCK / 2
const TWO_PI = Math.fround(2 * Math.PI)

/** Creates a generator in the state of `torch.Generator('cpu').manual_seed(seed)`. */
export function createGenerator(seed: number): Generator {
  return { nextUint32: createMersenneTwister(seed), spare: undefined }
}

/**
 * Draws what `torch.randn(count, generator=…)` draws on CPU in float32: within 1e-6 of torch's AVX2 path and
 * 3e-6 of its other paths, which differ among themselves by their logarithm and cosine.
 * Follows `normal_kernel` of ATen/native/cpu/DistributionTemplates.h (torch 2.x), Box-Muller transform.
 */
export function drawNoise(generator: Generator, count: number): Float32Array {
  const noise = new Float32Array(count)
  if (count < BLOCK) return noise.map(() => drawOne(generator))
  for (let i = 0; i < count; i++) noise[i] = drawUniform(generator)
  for (let start = 0; start + BLOCK <= count; start += BLOCK) transformBlock(noise, start)
  if (count % BLOCK !== 0) {
    // torch draws its last 16 values again rather than transform a partial block.
    for (let i = count - BLOCK; i < count; i++) noise[i] = drawUniform(generator)
    transformBlock(noise, count - BLOCK)
  }
  return noise
}

/**
 * Draws one step's noise for a batch, `countPerImage` values from each image's own generator, in one flat array.
 * This is diffusers with a list of generators: an image's noise does not depend on its batch mates.
 */
export function drawBatchNoise(generators: Generator[], countPerImage: number): Float32Array {
  const noise = new Float32Array(generators.length * countPerImage)
  generators.forEach((generator, image) => {
    noise.set(drawNoise(generator, countPerImage), image * countPerImage)
  })
  return noise
}

/** Turns 8 + 8 uniform values from `start` on into 16 normal ones, in place. */
function transformBlock(values: Float32Array, start: number): void {
  for (let i = start; i < start + HALF_BLOCK; i++) {
    const log = Math.fround(Math.log(1 - values[i]!))
    const radius = Math.fround(Math.sqrt(-2 * log))
    const theta = Math.fround(TWO_PI * values[i + HALF_BLOCK]!)
    values[i] = radius * Math.fround(Math.cos(theta))
    values[i + HALF_BLOCK] = radius * Math.fround(Math.sin(theta))
  }
}

/** Draws one normal value in double precision; every second call is answered by the pair's other half. */
function drawOne(generator: Generator): number {
  if (generator.spare !== undefined) {
    const value = generator.spare
    generator.spare = undefined
    return value
  }
  const theta = 2 * Math.PI * drawDouble(generator)
  const radius = Math.sqrt(-2 * Math.log1p(-drawDouble(generator)))
  generator.spare = radius * Math.sin(theta)
  return radius * Math.cos(theta)
}

// Uniform in [0, 1) with the 24 bits a float32 holds.
function drawUniform(generator: Generator): number {
  return (generator.nextUint32() & 0xffffff) / 2 ** 24
}

// Uniform in [0, 1) with 53 bits: the first word gives the upper ones.
function drawDouble(generator: Generator): number {
  const high = generator.nextUint32() & 0x1fffff
  return (high * 2 ** 32 + generator.nextUint32()) / 2 ** 53
}
