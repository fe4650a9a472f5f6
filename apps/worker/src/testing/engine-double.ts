import { setTimeout as sleep } from 'node:timers/promises'
import { type DrawnImage, type Engine, type ImageInput, previewSteps } from '@sdcpu/diffusion'

export type EngineDouble = Engine & {
  /** The inputs of each call of `generate`, in order. */
  calls: ImageInput[][]
  /** Steps of all calls so far. */
  stepsDone(): number
  /** Makes the engine die, as a thread does that runs out of memory. */
  die(error: Error): void
}

const NO_CACHE = { hits: 0, misses: 0, entries: 0, bytes: 0, maxBytes: 0 }

/** Stands in for the engine where drawing is not what is tested: its bytes are the prompt and the seed. */
export function createEngineDouble({
  stepMs = 0,
  png,
  fails = () => false,
}: {
  stepMs?: number
  /** What every picture is; the prompt and the seed as text when absent, which no one can convert. */
  png?: Uint8Array
  /** Asked at each call, with the inputs and the number of calls before. */
  fails?: (inputs: ImageInput[], earlier: number) => boolean
} = {}): EngineDouble {
  const calls: ImageInput[][] = []
  let stepsDone = 0
  const { promise: died, resolve: die } = Promise.withResolvers<Error>()
  return {
    model: {
      name: 'double',
      plan: 'fp32',
      nativeSize: 64,
      drawsFromImage: true,
      recommended: {
        ...{
          family: 'turbo',
          steps: 2,
          maxSteps: 8,
          guidance: 1,
          sampler: 'euler_a',
          timestepSpacing: 'trailing',
        },
        sizes: [{ width: 64, height: 64 }],
      },
      licence: { id: 'mit', link: 'https://opensource.org/license/mit' },
    },
    threads: 1,
    loadMs: 0,
    calls,
    stepsDone: () => stepsDone,
    died,
    die,
    async generate(inputs, { onStep, onPreview, signals = [] } = {}) {
      const earlier = calls.push(inputs) - 1
      const { steps } = inputs[0]!
      for (let step = 1; step <= steps; step++) {
        if (inputs.every((_, i) => signals[i]?.aborted)) break
        await sleep(stepMs)
        stepsDone++
        onStep?.(step)
        for (const [image, { previews = 0, width, height }] of inputs.entries())
          if (previewSteps(steps, previews).includes(step))
            onPreview?.({ image, step, width, height, rgb: new Uint8Array(3 * width * height).fill(step) })
      }
      if (fails(inputs, earlier)) throw new Error('the engine double was told to fail')
      return inputs.map((input, i) =>
        signals[i]?.aborted
          ? { ...toImage(input), png: new Uint8Array(0) }
          : { ...toImage(input), ...(png && { png }) },
      )
    },
    stats: () => ({ caches: { embeddings: NO_CACHE, promptKeys: NO_CACHE } }),
    async close() {},
  }
}

function toImage({ prompt, negativePrompt, seed, width, height, steps, image }: ImageInput): DrawnImage {
  const timingsMs = {
    encodePrompts: 1,
    ...(image && { encodeImage: 30 }),
    steps: Array.from({ length: steps }, () => 1),
    decode: 1,
    encodePng: 1,
  }
  const words = (text: string) => text.split(' ').length
  const tokenCounts = {
    prompt: words(prompt),
    chunks: 1,
    ...(negativePrompt && { negativePrompt: words(negativePrompt) }),
  }
  const png = new TextEncoder().encode(`${prompt} ${seed}`)
  return { png, seed, width, height, steps, timingsMs, tokenCounts, warnings: [] }
}
