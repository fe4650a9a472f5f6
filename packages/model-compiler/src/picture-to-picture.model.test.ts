import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  encodeBatch,
  encodePicture,
  encodePictures,
  generate,
  type ImageInput,
  loadModel,
  type Model,
  readPicture,
  sample,
  samplerNamed,
} from '@sdcpu/diffusion'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type PrepareOptions, prepareModel } from './prepare-model.ts'
import { writeVaeFile } from './testing/single-file.ts'

const FIXTURES = join(import.meta.dirname, 'fixtures')
const PICTURES = join(FIXTURES, 'picture-to-picture')
const model = (name: string) => join(FIXTURES, 'models', name)

type Case = {
  prompts: string[]
  negatives?: string[]
  seeds: number[]
  sampler: string
  guidance: number
  steps: number
  strength?: number
  images?: string[]
  width: number
  height: number
  files: string[]
  /** Base64 float32: the first 256 values of each picture's last latents. */
  latents: string[]
}

type Golden = { encoded: { image: string; mean: string; deviation?: string }; cases: Case[] }

const readGolden = (name: string): Golden =>
  JSON.parse(readFileSync(join(PICTURES, `${name}.golden.json`), 'utf8'))
const readImage = (name: string): Uint8Array => new Uint8Array(readFileSync(join(PICTURES, name)))

let dataDir: string
let vaeFile: string
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sd-from-picture-'))
  vaeFile = join(dataDir, 'other.safetensors')
  await writeVaeFile(vaeFile)
})
afterAll(() => rm(dataDir, { recursive: true, force: true }))

async function load(options: Pick<PrepareOptions, 'model' | 'vae'>): Promise<Model> {
  const { dir } = await prepareModel({ ...options, dataDir, plan: 'fp32' })
  return loadModel(dir, { threads: 1 })
}

describe.each<[string, () => Pick<PrepareOptions, 'model' | 'vae'>]>([
  ['threelevels', () => ({ model: model('threelevels') })],
  ['twolevels', () => ({ model: model('twolevels') })],
  // A VAE of other widths, levels, groups and scale than the model's own.
  [
    'threelevels-folder',
    () => ({ model: model('threelevels'), vae: { source: join(model('twolevels'), 'vae') } }),
  ],
  ['twolevels-file', () => ({ model: model('twolevels'), vae: { source: vaeFile } })],
  [
    'threelevels-tiny',
    () => ({ model: model('threelevels'), vae: { source: join(FIXTURES, 'vaes/tiny'), kind: 'tiny' } }),
  ],
])('%s, plan fp32', (name, options) => {
  const { encoded, cases } = readGolden(name)
  let model: Model
  beforeAll(async () => {
    model = await load(options())
  }, 120_000)

  it('encodes a picture within 1e-4 of diffusers', async () => {
    const picture = await readPicture(readImage(encoded.image), { width: 104, height: 72 })
    const { mean, deviation } = await encodePicture(model, picture)
    expect(difference(mean, fromBase64(encoded.mean))).toBeLessThan(1e-4)
    if (encoded.deviation) expect(difference(deviation!, fromBase64(encoded.deviation))).toBeLessThan(1e-4)
    else expect(deviation).toBeUndefined()
  })

  it.each(cases)(
    'draws $prompts from $images at strength $strength by $sampler in $steps steps within 1/255 of diffusers',
    async (golden) => {
      const images = await generate(model, toInputs(golden))
      for (const [i, image] of images.entries()) {
        const theirs = await toPixels(readFileSync(join(PICTURES, golden.files[i]!)))
        expect(difference(await toPixels(image.png), theirs)).toBeLessThanOrEqual(1)
      }
    },
  )

  it.each(cases)(
    'samples latents of $prompts from $images at strength $strength by $sampler within 1e-3 of diffusers',
    async (golden) => {
      const { seeds, width, height, steps, guidance, strength, images = [] } = golden
      const { groups } = await encodeBatch(model, toInputs(golden), { guided: guidance > 1 })
      const pictures = await encodePictures(model, images.map(readImage), { width, height })
      const { latents } = await sample(model, groups, {
        ...{ seeds, width, height, steps, guidance },
        sampler: samplerNamed(golden.sampler)!,
        from: strength === undefined ? undefined : { pictures, strength },
      })
      golden.latents.forEach((head, i) => {
        const theirs = fromBase64(head)
        const start = (i * latents.length) / seeds.length
        expect(difference(latents.subarray(start, start + theirs.length), theirs)).toBeLessThan(1e-3)
      })
    },
  )
})

describe('pictures from pictures', () => {
  const shape = { width: 64, height: 64, steps: 2 }
  const fox: ImageInput = {
    ...{ prompt: 'a red fox', seed: 7, ...shape },
    image: readImage('disc-64x64.png'),
    strength: 0.5,
  }
  let own: Model
  beforeAll(async () => {
    own = await load({ model: model('threelevels') })
  })

  async function drawOne(input: ImageInput) {
    const [image] = await generate(own, [input])
    return image!
  }

  it('are bit for bit the same alone and among others, of equal files or not', async () => {
    const stripes = readImage('stripes-64x64.png')
    const inputs = [
      fox,
      { ...fox, image: stripes, seed: 8 },
      { ...fox, image: readImage('disc-64x64.png'), prompt: 'two dogs', seed: 9 },
      { ...fox, image: stripes },
    ]
    const together = await generate(own, inputs)
    for (const [i, input] of inputs.entries())
      expect(Buffer.from((await drawOne(input)).png).equals(together[i]!.png), `picture ${i}`).toBe(true)
  })

  it('stay the nearer to the image the less the strength is', async () => {
    const { width, height } = shape
    const [picture] = await encodePictures(own, [fox.image!], { width, height })
    const clean = picture!.mean.map((value) => value * own.manifest.vae.scalingFactor)
    const { groups } = await encodeBatch(own, [fox], { guided: false })
    const distances: number[] = []
    for (const strength of [0.02, 0.5, 1]) {
      const from = { pictures: [{ mean: picture!.mean }], strength }
      const options = { seeds: [7], width, height, steps: 50, sampler: 'euler' as const, from }
      const { latents } = await sample(own, groups, options)
      distances.push(Math.hypot(...latents.map((value, i) => value - clean[i]!)))
    }
    expect(distances).toEqual(distances.toSorted((a, b) => a - b))
  })

  it('say their strength, and take half where none is given', async () => {
    const { strength: _, ...unsaid } = fox
    const image = await drawOne({ ...unsaid, steps: 4 })
    expect(image).toMatchObject({ strength: 0.5, steps: 4 })
    expect(image.timingsMs.steps).toHaveLength(2)
    expect(image.timingsMs.encodeImage).toBeGreaterThan(0)
    const text = Buffer.from(image.png).toString('latin1')
    expect(text).toContain('Model: threelevels, Denoising strength: 0.5, Version')
    const plain = await drawOne({ prompt: 'a red fox', seed: 7, ...shape })
    expect(plain).not.toHaveProperty('strength')
    expect(plain.timingsMs).not.toHaveProperty('encodeImage')
  })

  it('leave a text-to-picture model without the encoder in memory', async () => {
    const fresh = await load({ model: model('threelevels') })
    let opened = 0
    const watched = {
      ...fresh,
      openEncoder() {
        opened++
        return fresh.openEncoder()
      },
    }
    await generate(watched, [{ prompt: 'a red fox', seed: 7, ...shape }])
    expect(opened).toBe(0)
    await generate(watched, [fox])
    expect(opened).toBe(1)
  })

  it('are refused by a model whose VAE file holds no encoder, which draws without', async () => {
    const file = join(dataDir, 'decoder-only.safetensors')
    await writeVaeFile(file, (name) => !/^(encoder|quant_conv)/.test(name))
    const half = await load({ model: model('threelevels'), vae: { source: file } })
    expect(half.manifest.graphs.encoder).toEqual([])
    await generate(half, [{ prompt: 'a red fox', seed: 7, ...shape }])
    await expect(generate(half, [fox])).rejects.toThrow(
      'threelevels was compiled without an encoder, so it cannot draw from a picture',
    )
  })

  it.each<[Partial<ImageInput>, string]>([
    [{ strength: 0.2, steps: 4 }, 'strength 0.2 x 4 steps is 0.8; it must be 1 or more'],
    [{ strength: 0 }, 'strength is 0; it must be a number above 0 and not above 1'],
    [{ strength: 1.5 }, 'strength is 1.5; it must be a number above 0 and not above 1'],
    [{ strength: Number.NaN }, 'strength is NaN'],
    [
      { image: { rgb: new Uint8Array(3 * 64 * 72), width: 64, height: 72 } },
      'the image is 64x72; it must be 64x64',
    ],
    [{ image: new Uint8Array([1, 2, 3]) }, 'the image is not a PNG, JPEG or WebP file'],
  ])('are refused with %j', async (change, message) => {
    await expect(drawOne({ ...fox, ...change })).rejects.toThrow(message)
  })

  it('are refused where there is a strength and no image, or where the strengths of a batch differ', async () => {
    const { image: _, ...alone } = fox
    await expect(drawOne(alone)).rejects.toThrow('strength is 0.5, but there is no image to begin with')
    await expect(generate(own, [fox, { ...fox, strength: 1 }])).rejects.toThrow(
      'at guidance 1 from an image at strength 0.5 and 64x64 in 2 steps with euler_a (trailing) at guidance 1 from an image at strength 1 do not go together',
    )
    const { strength: __, ...plain } = alone
    await expect(generate(own, [fox, plain])).rejects.toThrow('do not go together')
  })
})

function toInputs({ prompts, negatives, seeds, images, strength, ...settings }: Case): ImageInput[] {
  const { sampler, guidance, width, height, steps } = settings
  return prompts.map((prompt, i) => ({
    ...{ prompt, seed: seeds[i]!, sampler, guidance, width, height, steps },
    ...(negatives && { negativePrompt: negatives[i]! }),
    ...(images && strength !== undefined && { image: readImage(images[i]!), strength }),
  }))
}

async function toPixels(png: Uint8Array): Promise<Uint8Array> {
  return sharp(png).removeAlpha().raw().toBuffer()
}

function fromBase64(text: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer)
}

/** The largest one; infinite where the lengths differ. */
function difference(a: Uint8Array | Float32Array, b: Uint8Array | Float32Array): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  let most = 0
  for (let i = 0; i < b.length; i++) most = Math.max(most, Math.abs(a[i]! - b[i]!))
  return most
}
