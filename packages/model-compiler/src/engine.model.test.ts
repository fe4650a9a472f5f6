import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Engine,
  type FloatTensor,
  generate,
  type ImageInput,
  loadModel,
  type OpenGraph,
  openGraph,
  type Preview,
  startEngine,
} from '@sdcpu/diffusion'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { prepareModel } from './prepare-model.ts'

const FIXTURE = join(import.meta.dirname, 'fixtures/models/twolevels')

let dataDir: string
let modelDir: string
let engine: Engine
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sd-engine-'))
  modelDir = (await prepareModel({ model: FIXTURE, dataDir, plan: 'fp32' })).dir
  engine = await startEngine({ modelDir, threads: 2 })
})
afterAll(async () => {
  await engine?.close()
  await rm(dataDir, { recursive: true, force: true })
})

const input = (changes: Partial<ImageInput> = {}): ImageInput => ({
  prompt: 'a red fox, 8k',
  seed: 7,
  width: 64,
  height: 64,
  steps: 3,
  ...changes,
})

it('says what the model is', () => {
  expect(engine.model).toEqual({
    ...{ name: 'twolevels', plan: 'fp32', nativeSize: 64, drawsFromImage: true },
    recommended: {
      ...{ family: 'turbo', steps: 4, maxSteps: 8, guidance: 1, sampler: 'euler_a' },
      ...{ timestepSpacing: 'trailing', sizes: [{ width: 64, height: 64 }] },
    },
  })
  expect(engine.loadMs).toBeGreaterThan(0)
})

it('draws on its thread what the pipeline draws', async () => {
  const steps: number[] = []
  const [image] = await engine.generate([input()], { onStep: (step) => steps.push(step) })
  const [expected] = await generate(await loadModel(modelDir, { threads: 2 }), [input()])
  expect(Buffer.from(image!.png).equals(Buffer.from(expected!.png))).toBe(true)
  expect(steps).toEqual([1, 2, 3])
  expect(image!.timingsMs.steps).toHaveLength(3)
})

it('draws the same bytes with one thread as with two', async () => {
  const single = await startEngine({ modelDir, threads: 1 })
  const [one] = await single.generate([input()])
  const [two] = await engine.generate([input()])
  await single.close()
  expect(Buffer.from(one!.png).equals(Buffer.from(two!.png))).toBe(true)
})

it('computes a prompt once, however often it is drawn, and draws the same with what it kept', async () => {
  const prompt = 'a lighthouse that no other test draws'
  const before = engine.stats().caches
  const [first] = await engine.generate([input({ prompt })])
  const missed = engine.stats().caches
  const [again] = await engine.generate([input({ prompt })])
  const hit = engine.stats().caches
  for (const cache of ['embeddings', 'promptKeys'] as const) {
    expect(missed[cache].misses - before[cache].misses).toBe(1)
    expect(missed[cache].bytes).toBeGreaterThan(before[cache].bytes)
    expect(hit[cache].hits - missed[cache].hits).toBe(1)
    expect(hit[cache].misses).toBe(missed[cache].misses)
    expect(hit[cache].bytes).toBeLessThanOrEqual(hit[cache].maxBytes)
  }
  expect(Buffer.from(again!.png).equals(Buffer.from(first!.png))).toBe(true)
})

it('gives every feature map back once it is used, and leaves none to the garbage collector', async () => {
  const maps: FloatTensor[] = []
  const openWith: OpenGraph = async (...args) => {
    const session = await openGraph(...args)
    const run: typeof session.run = async (inputs) => {
      const outputs = await session.run(inputs)
      if (/^(unet_down|unet_mid|vae_)/.test(session.name)) maps.push(...Object.values(outputs))
      return outputs
    }
    return { ...session, run }
  }
  await generate(await loadModel(modelDir, { threads: 2, openWith }), [input({ steps: 1 })])
  expect(maps.length).toBeGreaterThan(5)
  expect(maps.filter(({ data }) => data.length > 0)).toEqual([])
})

it('leaves the event loop free while it draws', async () => {
  let ticks = 0
  const timer = setInterval(() => ticks++, 5)
  await engine.generate([input({ width: 256, height: 256, steps: 8 })])
  clearInterval(timer)
  expect(ticks).toBeGreaterThan(5)
})

it('shows what one step alone draws after the first, and draws every picture with the bits it has unseen', async () => {
  const inputs = [1, 2, 3].map((seed) => input({ seed, steps: 4 }))
  const unseen = await engine.generate(inputs)
  const shown: Preview[] = []
  const watched = inputs.map((each, i) => ({ ...each, ...(i > 0 && { previews: 4 - i }) }))
  const images = await engine.generate(watched, { onPreview: (preview) => shown.push(preview) })
  for (const [i, { png }] of images.entries())
    expect(Buffer.from(png).equals(Buffer.from(unseen[i]!.png))).toBe(true)
  expect(shown.map(({ image, step }) => [image, step])).toEqual([
    [1, 1],
    [2, 1],
    [1, 2],
    [1, 3],
    [2, 3],
  ])
  expect(images[0]!.timingsMs.previews).toBeGreaterThan(0)
  expect(images[0]!.timingsMs.steps).toHaveLength(4)
  expect(unseen[0]!.timingsMs).not.toHaveProperty('previews')

  const [once] = await engine.generate([input({ seed: 2, steps: 1 })])
  const { rgb, width, height } = shown[0]!
  expect([width, height]).toEqual([64, 64])
  expect(Buffer.from(rgb).equals(await sharp(once!.png).raw().toBuffer())).toBe(true)
})

it('gives up an aborted picture and draws its batch mates as if nothing had happened', async () => {
  const inputs = [1, 2, 3].map((seed) => input({ seed, steps: 6 }))
  const undisturbed = await engine.generate(inputs)
  const abort = new AbortController()
  const images = await engine.generate(inputs, {
    signals: [undefined, abort.signal, undefined],
    onStep: (step) => step === 2 && abort.abort(),
  })
  expect(images.map(({ png }) => png.length > 0)).toEqual([true, false, true])
  for (const image of [0, 2])
    expect(Buffer.from(images[image]!.png).equals(Buffer.from(undisturbed[image]!.png))).toBe(true)
})

it('does the same with guidance, where a picture has two rows', async () => {
  const inputs = [1, 2].map((seed) => input({ seed, steps: 4, guidance: 3, negativePrompt: 'rain' }))
  const undisturbed = await engine.generate(inputs)
  const images = await engine.generate(inputs, { signals: [AbortSignal.abort()] })
  expect(images[0]!.png.length).toBe(0)
  expect(Buffer.from(images[1]!.png).equals(Buffer.from(undisturbed[1]!.png))).toBe(true)
})

it('stops between two segments of the model once nobody wants any picture of the batch', async () => {
  const model = await loadModel(modelDir, { threads: 2 })
  const segments: string[] = []
  for (const segment of [...Object.values(model.denoiser), ...model.decoder]) {
    const run = segment.run
    segment.run = (inputs) => {
      segments.push(segment.name)
      return run(inputs)
    }
  }
  const isAborted = () => segments.length >= 4 // within the second step
  const [image] = await generate(model, [input()], { isAborted })
  expect(segments).toEqual(['unet_down', 'unet_mid', 'unet_up', 'unet_down'])
  expect(image!.png.length).toBe(0)
})

it.each<[string, ImageInput[], RegExp]>([
  ['an empty batch', [], /a batch has at least one picture; this one has 0/],
  [
    'two shapes in a batch',
    [input(), input({ width: 128 })],
    /64x64 in 3 steps .* and 128x64 in 3 steps .* do not go together/,
  ],
  [
    'a size that is no multiple of the latent pixel',
    [input({ width: 66 })],
    /width is 66; it must be a multiple of 4/,
  ],
  ['no steps', [input({ steps: 0 })], /steps is 0; it must be a whole number from 1 to 1000/],
])('refuses %s and draws on', async (_what, inputs, message) => {
  await expect(engine.generate(inputs)).rejects.toThrow(message)
  expect(await engine.generate([input({ steps: 1 })])).toHaveLength(1)
})

it('refuses a folder that is no compiled model', async () => {
  await expect(startEngine({ modelDir: dataDir, threads: 1 })).rejects.toThrow(/is not a compiled model/)
})

it('ends a call and reports its death when its thread is gone', async () => {
  const doomed = await startEngine({ modelDir, threads: 1 })
  const call = doomed.generate([input({ width: 512, height: 512, steps: 8 })])
  await doomed.close()
  await expect(call).rejects.toThrow(/thread ended/)
})
