import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  defaultSampler,
  encodeBatch,
  generate,
  type ImageInput,
  loadModel,
  type Model,
  SchedulerConfig,
  sample,
  samplerNamed,
} from '@sdcpu/diffusion'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { prepareModel } from './prepare-model.ts'

const FIXTURES = join(import.meta.dirname, 'fixtures')
const PICTURES = join(FIXTURES, 'guided-pictures')

type Case = {
  prompts: string[]
  negatives?: string[]
  emphasis?: boolean
  seeds: number[]
  sampler: string
  guidance: number
  steps: number
  width: number
  height: number
  /** Tokens of the first prompt. */
  tokenCount: number
  files: string[]
  /** Base64 float32: the first 256 values of each picture's last latents. */
  latents: string[]
}

let dataDir: string
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sd-guided-'))
})
afterAll(() => rm(dataDir, { recursive: true, force: true }))

describe.each(['threelevels', 'twolevels'])('%s, plan fp32', (name) => {
  const { cases }: { cases: Case[] } = JSON.parse(readFileSync(join(PICTURES, `${name}.golden.json`), 'utf8'))
  const shape = { width: 64, height: 64, steps: 2 }
  const fox = { prompt: 'a red fox, 8k', seed: 7, ...shape }
  const long = 'a red fox in the snow, '.repeat(12)
  let model: Model
  beforeAll(async () => {
    const { dir } = await prepareModel({ model: join(FIXTURES, 'models', name), dataDir, plan: 'fp32' })
    model = await loadModel(dir, { threads: 2 })
  }, 120_000)

  async function drawOne(input: ImageInput, from = model) {
    const [image] = await generate(from, [input])
    return image!
  }

  it.each(cases)(
    'draws $prompts without $negatives by $sampler at guidance $guidance in $steps steps within 1/255 of diffusers',
    async (golden) => {
      const images = await generate(model, toInputs(golden))
      expect(images[0]!.tokenCounts!.prompt).toBe(golden.tokenCount)
      for (const [i, image] of images.entries()) {
        const theirs = await toPixels(readFileSync(join(PICTURES, golden.files[i]!)))
        expect(maxDifference(await toPixels(image.png), theirs)).toBeLessThanOrEqual(1)
      }
    },
  )

  it.each(cases)(
    'samples latents of $prompts by $sampler at guidance $guidance in $steps steps within 1e-3 of diffusers',
    async (golden) => {
      const { seeds, width, height, steps, guidance } = golden
      const sampler = samplerNamed(golden.sampler)!
      const { groups } = await encodeBatch(model, toInputs(golden), { guided: guidance > 1 })
      const options = { seeds, width, height, steps, guidance, sampler }
      const { latents } = await sample(model, groups, options)
      golden.latents.forEach((encoded, i) => {
        const theirs = fromBase64(encoded)
        const start = (i * latents.length) / seeds.length
        expect(maxDifference(latents.subarray(start, start + theirs.length), theirs)).toBeLessThan(1e-3)
      })
    },
  )

  it('draws a guided picture bit for bit the same alone and among others of other lengths', async () => {
    const guided = { ...fox, guidance: 2, sampler: 'dpmpp_sde_karras' }
    const inputs: ImageInput[] = [
      { ...guided, negativePrompt: 'blurry' },
      { ...guided, prompt: long, seed: 8 },
      { ...guided, seed: 9 },
      { ...guided, negativePrompt: long, seed: 10 },
      { ...guided, prompt: 'a (red:1.3) fox', emphasis: true, seed: 11 },
      { ...guided, prompt: '', negativePrompt: '', seed: 12 },
    ]
    const together = await generate(model, inputs)
    for (const [i, input] of inputs.entries()) {
      const alone = await drawOne(input)
      expect(Buffer.from(alone.png).equals(together[i]!.png), `picture ${i}`).toBe(true)
    }
  })

  it('takes an absent negative prompt for an empty one where the model wants no zeros', async () => {
    const manifest = { ...model.manifest, forceZerosForEmptyPrompt: false }
    const absent = await drawOne({ ...fox, guidance: 5 }, { ...model, manifest })
    const empty = await drawOne({ ...fox, guidance: 5, negativePrompt: '' })
    const zeros = await drawOne({ ...fox, guidance: 5 })
    expect(Buffer.from(absent.png).equals(empty.png)).toBe(true)
    expect(maxDifference(await toPixels(zeros.png), await toPixels(empty.png))).toBeGreaterThan(0)
  })

  it('says so when a negative prompt has no effect, and draws as without it', async () => {
    const plain = await drawOne(fox)
    expect(plain).toMatchObject({ sampler: 'euler_a', guidance: 1, warnings: [] })
    const image = await drawOne({ ...fox, guidance: 1, negativePrompt: 'blurry' })
    expect(image.warnings).toEqual([
      'the negative prompt has no effect at guidance 1; it takes a guidance above 1',
    ])
    expect(image.tokenCounts).toEqual(plain.tokenCounts)
    expect(Buffer.from(image.png).equals(plain.png)).toBe(true)
  })

  it.each([
    ['EulerDiscreteScheduler', 'euler'],
    ['DPMSolverMultistepScheduler', 'dpmpp_2m'],
    ['LCMScheduler', 'lcm'],
    ['TCDScheduler', 'tcd'],
  ])('draws a model with a %s by %s, unless another is asked for', async (_class_name, own) => {
    const scheduler = SchedulerConfig.parse({ ...model.manifest.scheduler, _class_name })
    const recommended = { ...model.manifest.recommended, sampler: defaultSampler(scheduler) }
    const other = { ...model, manifest: { ...model.manifest, scheduler, recommended } }
    const image = await drawOne(fox, other)
    expect(image.sampler).toBe(own)
    expect(Buffer.from(image.png).equals((await drawOne({ ...fox, sampler: own })).png)).toBe(true)
    expect((await drawOne({ ...fox, sampler: 'Euler a' }, other)).sampler).toBe('euler_a')
  })

  it('spaces timesteps as asked, and says so where a sampler does not ask', async () => {
    const plain = await drawOne(fox)
    const same = await drawOne({ ...fox, timestepSpacing: 'trailing' })
    const linspace = await drawOne({ ...fox, timestepSpacing: 'linspace' })
    // Pixels, not bytes: the file says which spacing was asked for.
    expect(maxDifference(await toPixels(same.png), await toPixels(plain.png))).toBe(0)
    expect(maxDifference(await toPixels(linspace.png), await toPixels(plain.png))).toBeGreaterThan(1)
    const scheduler = { ...model.manifest.scheduler, timestep_spacing: 'linspace' as const }
    const recommended = { ...model.manifest.recommended, timestepSpacing: 'linspace' as const }
    const own = await drawOne(fox, { ...model, manifest: { ...model.manifest, scheduler, recommended } })
    expect(maxDifference(await toPixels(own.png), await toPixels(linspace.png))).toBe(0)
    const lcm = await drawOne({ ...fox, sampler: 'lcm', timestepSpacing: 'leading' })
    expect(lcm.warnings).toEqual([
      'timestep spacing leading has no effect with lcm; it takes euler_a, euler, dpmpp_2m',
    ])
  })

  it('counts the chunks that its prompts took', async () => {
    expect((await drawOne({ ...fox, prompt: long })).tokenCounts!.chunks).toBeGreaterThan(1)
    expect((await drawOne(fox)).tokenCounts!.chunks).toBe(1)
  })

  it('draws as the model recommends where an input leaves it open', async () => {
    const settings = { sampler: 'dpmpp_2m', guidance: 2 } as const
    const recommended = { ...model.manifest.recommended, ...settings }
    const image = await drawOne(fox, { ...model, manifest: { ...model.manifest, recommended } })
    expect(image).toMatchObject(settings)
    expect(Buffer.from(image.png).equals((await drawOne({ ...fox, ...settings })).png)).toBe(true)
  })

  it('writes sampler, guidance and the negative prompt that had effect into the picture', async () => {
    const image = await drawOne({
      ...fox,
      sampler: 'DPM++ 2M Karras',
      guidance: 2.5,
      negativePrompt: 'blurry',
    })
    expect(image).toMatchObject({ sampler: 'dpmpp_2m_karras', guidance: 2.5, warnings: [] })
    expect(image.tokenCounts!.negativePrompt).toBeGreaterThan(0)
    expect(Buffer.from(image.png).toString('latin1')).toContain(
      'parameters\0a red fox, 8k\nNegative prompt: blurry\nSteps: 2, Sampler: DPM++ 2M Karras, CFG scale: 2.5, Seed: 7',
    )
  })

  it('takes brackets for words unless emphasis is asked for', async () => {
    const prompt = 'a (red:1.4) fox'
    const asWords = await drawOne({ ...fox, prompt })
    const weighed = await drawOne({ ...fox, prompt, emphasis: true })
    const without = await drawOne({ ...fox, prompt: 'a red fox', emphasis: true })
    expect(weighed.tokenCounts!.prompt).toBeLessThan(asWords.tokenCounts!.prompt)
    expect(Buffer.from(weighed.png).equals(asWords.png)).toBe(false)
    expect(Buffer.from(weighed.png).equals(without.png)).toBe(false)
  })

  it.each<[Partial<ImageInput>, string]>([
    [
      { guidance: 2 },
      '64x64 in 2 steps with euler_a (trailing) at guidance 1 and 64x64 in 2 steps with euler_a (trailing) at guidance 2',
    ],
    [
      { sampler: 'lcm' },
      '64x64 in 2 steps with euler_a (trailing) at guidance 1 and 64x64 in 2 steps with lcm (trailing) at guidance 1',
    ],
  ])('refuses a batch that differs in %j, with the values', async (other, message) => {
    await expect(generate(model, [fox, { ...fox, ...other }])).rejects.toThrow(
      `${message} do not go together`,
    )
  })

  it.each<[Partial<ImageInput>, string]>([
    [{ guidance: -1 }, 'guidance is -1; it must be a number of 0 or more'],
    [{ guidance: Number.NaN }, 'guidance is NaN'],
    [{ sampler: 'UniPC' }, 'sampler is UniPC; it must be one of euler_a, euler, dpmpp_2m,'],
    [{ sampler: 'lcm', steps: 51 }, 'steps is 51; it must be a whole number from 1 to 50'],
  ])('refuses %j', async (other, message) => {
    await expect(generate(model, [{ ...fox, ...other }])).rejects.toThrow(message)
  })
})

function toInputs({ prompts, negatives, emphasis = false, seeds, ...settings }: Case): ImageInput[] {
  const { sampler, guidance, width, height, steps } = settings
  return prompts.map((prompt, i) => {
    const negativePrompt = negatives?.[i]
    return {
      prompt,
      ...(negativePrompt !== undefined && { negativePrompt }),
      ...{ emphasis, seed: seeds[i]!, sampler, guidance, width, height, steps },
    }
  })
}

async function toPixels(png: Uint8Array): Promise<Uint8Array> {
  return sharp(png).removeAlpha().raw().toBuffer()
}

function fromBase64(text: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer)
}

function maxDifference(a: Uint8Array | Float32Array, b: Uint8Array | Float32Array): number {
  let most = 0
  for (let i = 0; i < b.length; i++) most = Math.max(most, Math.abs(a[i]! - b[i]!))
  return most
}
