import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decode, encodePrompts, loadModel, type Model, sample } from '@sdcpu/diffusion'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEMO_FOLDER, prepareModel } from './prepare-model.ts'
import { expectSameInBatch } from './testing/same-in-batch.ts'

const FIXTURES = join(import.meta.dirname, 'fixtures/models')

// The sides that no power of two divides are rounded up on the way down and cut on the way up.
const MODELS = [
  { name: 'threelevels', folder: join(FIXTURES, 'threelevels'), width: 104, height: 72 },
  { name: 'twolevels', folder: join(FIXTURES, 'twolevels'), width: 104, height: 72 },
  { name: 'demo', folder: DEMO_FOLDER, width: 256, height: 256 },
]
const PROMPT = 'a panda on a blue background'

let dataDir: string
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sd-int8-'))
})
afterAll(() => rm(dataDir, { recursive: true, force: true }))

describe.each(MODELS)('$name, plan int8', ({ folder, width, height }) => {
  let exact: Model
  let integer: Model
  beforeAll(async () => {
    const load = async (plan: 'fp32' | 'int8') =>
      loadModel((await prepareModel({ model: folder, dataDir, plan, audit: false })).dir, { threads: 2 })
    exact = await load('fp32')
    integer = await load('int8')
  }, 120_000)

  async function draw(model: Model, steps: number) {
    const conditioning = await encodePrompts(model, [PROMPT])
    const { latents, shape } = await sample(model, conditioning, { seeds: [7], width, height, steps })
    const [pixels] = await decode(model, latents, shape)
    return { latents, rgb: pixels!.rgb }
  }

  it.each([
    { steps: 1, picture: 32 },
    { steps: 4, picture: 28 },
  ])(
    'is 20 dB or more in latents and $picture dB in pixels from fp32 at $steps steps',
    async ({ steps, picture }) => {
      const reference = await draw(exact, steps)
      const drawn = await draw(integer, steps)
      expect(decibels(power(reference.latents), distance(reference.latents, drawn.latents))).toBeGreaterThan(
        20,
      )
      expect(decibels(255 ** 2, distance(reference.rgb, drawn.rgb))).toBeGreaterThan(picture)
      // The plan is at work at all.
      expect(distance(reference.latents, drawn.latents)).toBeGreaterThan(0)
    },
  )

  it('draws a picture bit for bit the same alone and among others', async () => {
    const shape = { width, height, steps: 2 }
    const inputs = [
      { prompt: PROMPT, seed: 7, ...shape },
      { prompt: 'two dogs on the moon', seed: 8, ...shape },
      { prompt: '', seed: 9, ...shape },
      { prompt: PROMPT, seed: 10, ...shape },
    ]
    await expectSameInBatch(integer, inputs)
  })
})

it('says in the manifest how each layer computes and for which CPU', async () => {
  const { dir } = await prepareModel({ model: MODELS[1]!.folder, dataDir, plan: 'int8', audit: false })
  const { manifest } = await loadModel(dir, { threads: 1 })
  expect(manifest.plan).toBe('int8')
  expect(manifest.layers).toMatchObject({
    'text_encoder_2/text_model.encoder.layers.0.mlp.fc1': 'int8',
    'unet/mid_block.attentions.0.transformer_blocks.0.attn2.to_k': 'int8',
    'unet/up_blocks.0.upsamplers.0.conv': 'int8',
    'vae/decoder.up_blocks.0.resnets.0.conv1': 'int8',
  })
  expect(manifest.layers).not.toHaveProperty('unet/conv_in')
})

type Values = Float32Array | Uint8Array

const decibels = (signal: number, noise: number) => 10 * Math.log10(signal / noise)
const power = (values: Float32Array) => values.reduce((sum, value) => sum + value ** 2, 0) / values.length

function distance(a: Values, b: Values): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2
  return sum / a.length
}
