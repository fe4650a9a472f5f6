import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodePrompts, generate, loadModel, type Model, sample } from '@sdcpu/diffusion'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEMO_FOLDER, prepareModel } from './prepare-model.ts'

const FIXTURES = join(import.meta.dirname, 'fixtures')
const MODELS = {
  threelevels: join(FIXTURES, 'models/threelevels'),
  twolevels: join(FIXTURES, 'models/twolevels'),
  demo: DEMO_FOLDER,
}

type Case = {
  prompts: string[]
  seeds: number[]
  steps: number
  width: number
  height: number
  files: string[]
  /** Base64 float32: the first 256 values of each picture's last latents. */
  latents: string[]
}

let dataDir: string
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sd-pictures-'))
})
afterAll(() => rm(dataDir, { recursive: true, force: true }))

describe.each(Object.entries(MODELS))('%s, plan fp32', (name, folder) => {
  const { cases }: { cases: Case[] } = JSON.parse(
    readFileSync(join(FIXTURES, 'pictures', `${name}.golden.json`), 'utf8'),
  )
  let model: Model
  beforeAll(async () => {
    const { dir } = await prepareModel({ model: folder, dataDir, plan: 'fp32' })
    model = await loadModel(dir, { threads: 2 })
  }, 120_000)

  it.each(cases)(
    'draws $prompts at $width x $height in $steps steps within 1/255 of diffusers',
    async (golden) => {
      const images = await generate(model, toInputs(golden))
      for (const [i, image] of images.entries()) {
        const ours = await toPixels(Buffer.from(image.png))
        const theirs = await toPixels(readFileSync(join(FIXTURES, 'pictures', golden.files[i]!)))
        expect(maxDifference(ours, theirs)).toBeLessThanOrEqual(1)
      }
    },
  )

  it.each(cases)('samples latents of $prompts in $steps steps within 1e-3 of diffusers', async (golden) => {
    const { seeds, width, height, steps } = golden
    const conditioning = await encodePrompts(model, golden.prompts)
    const { latents } = await sample(model, conditioning, { seeds, width, height, steps })
    golden.latents.forEach((encoded, i) => {
      const theirs = fromBase64(encoded)
      const start = (i * latents.length) / seeds.length
      expect(maxDifference(latents.subarray(start, start + theirs.length), theirs)).toBeLessThan(1e-3)
    })
  })

  it('draws a picture bit for bit the same alone and among others', async () => {
    const { width, height } = cases[0]!
    const shape = { width, height, steps: 2 }
    const inputs = [
      { prompt: 'a red fox, 8k', seed: 7, ...shape },
      { prompt: 'two dogs on the moon', seed: 8, ...shape },
      { prompt: '', seed: 9, ...shape },
      { prompt: 'a red fox, 8k', seed: 10, ...shape },
    ]
    const together = await generate(model, inputs)
    for (const [i, input] of inputs.entries()) {
      const [alone] = await generate(model, [input])
      expect(Buffer.from(alone!.png).equals(Buffer.from(together[i]!.png)), `picture ${i}`).toBe(true)
    }
  })

  it('draws other pictures for other seeds and prompts', async () => {
    const { width, height } = cases[0]!
    const draw = async (prompt: string, seed: number) => {
      const [image] = await generate(model, [{ prompt, seed, width, height, steps: 1 }])
      return toPixels(Buffer.from(image!.png))
    }
    const first = await draw('a red fox', 1)
    expect(maxDifference(first, await draw('a red fox', 2))).toBeGreaterThan(10)
    expect(maxDifference(first, await draw('a blue octopus', 1))).toBeGreaterThan(0)
  })
})

it('keeps the demo model within 12 MB', async () => {
  const entries = await readdir(DEMO_FOLDER, { recursive: true, withFileTypes: true })
  const sizes = await Promise.all(
    entries.filter((entry) => entry.isFile()).map((entry) => stat(join(entry.parentPath, entry.name))),
  )
  expect(sizes.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(12_000_000)
})

function toInputs({ prompts, seeds, width, height, steps }: Case) {
  return prompts.map((prompt, i) => ({ prompt, seed: seeds[i]!, width, height, steps }))
}

async function toPixels(png: Buffer): Promise<Uint8Array> {
  return sharp(png).removeAlpha().raw().toBuffer()
}

function fromBase64(text: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(text, 'base64'))
  return new Float32Array(bytes.buffer)
}

function maxDifference(a: Uint8Array | Float32Array, b: Uint8Array | Float32Array): number {
  let most = 0
  for (let i = 0; i < b.length; i++) most = Math.max(most, Math.abs(a[i]! - b[i]!))
  return most
}
