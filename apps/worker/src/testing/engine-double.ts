import { setTimeout as sleep } from 'node:timers/promises'
import type { DrawnImage, Engine, ImageInput } from '@sdcpu/diffusion'

export type EngineDouble = Engine & {
  /** The inputs of each call of `generate`, in order. */
  calls: ImageInput[][]
  /** Makes the engine die, as a thread does that runs out of memory. */
  die(error: Error): void
}

const NO_CACHE = { hits: 0, misses: 0, entries: 0, bytes: 0, maxBytes: 0 }

/** Stands in for the engine where drawing is not what is tested: its bytes are the prompt and the seed. */
export function createEngineDouble({
  stepMs = 0,
  fails = () => false,
}: {
  stepMs?: number
  /** Asked at each call, with the inputs and the number of calls before. */
  fails?: (inputs: ImageInput[], earlier: number) => boolean
} = {}): EngineDouble {
  const calls: ImageInput[][] = []
  const { promise: died, resolve: die } = Promise.withResolvers<Error>()
  return {
    model: { name: 'double', plan: 'fp32', nativeSize: 64, defaultSteps: 2 },
    loadMs: 0,
    calls,
    died,
    die,
    async generate(inputs, { onStep } = {}) {
      const earlier = calls.push(inputs) - 1
      const { steps } = inputs[0]!
      for (let step = 1; step <= steps; step++) {
        await sleep(stepMs)
        onStep?.(step)
      }
      if (fails(inputs, earlier)) throw new Error('the engine double was told to fail')
      return inputs.map(toImage)
    },
    stats: () => ({ caches: { embeddings: NO_CACHE, promptKeys: NO_CACHE } }),
    async close() {},
  }
}

function toImage({ prompt, seed, width, height, steps }: ImageInput): DrawnImage {
  const timingsMs = {
    encodePrompts: 1,
    steps: Array.from({ length: steps }, () => 1),
    decode: 1,
    encodePng: 1,
  }
  return { png: new TextEncoder().encode(`${prompt} ${seed}`), seed, width, height, steps, timingsMs }
}
