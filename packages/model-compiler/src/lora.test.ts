import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generate, loadModel } from '@sdcpu/diffusion'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CompileError } from './compile-error.ts'
import { mergeLoras } from './lora.ts'
import { type LoraChoice, prepareModel } from './prepare-model.ts'
import { openSingleFile } from './single-file.ts'
import { type ModelSource, openSource, PARTS, type Part } from './source.ts'
import { FOLDER, readTensors, type Tensors, writeSingleFile, writeTensors } from './testing/single-file.ts'
import type { WeightsSource } from './weights-source.ts'

const LORAS = join(import.meta.dirname, 'fixtures/loras')

type Case = {
  name: string
  files: LoraChoice[]
  /** Base64 float32: 32 values, evenly spaced, of each weight that a file may change. */
  weights: { part: Part; name: string; values: string }[]
}
const { cases }: { cases: Case[] } = JSON.parse(await readFile(join(LORAS, 'loras.golden.json'), 'utf8'))

let work: string
let checkpoint: string
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'sd-lora-'))
  checkpoint = join(work, 'single/turbo.safetensors')
  await writeSingleFile(checkpoint)
})
afterAll(() => rm(work, { recursive: true, force: true }))

const prepare = (loras: LoraChoice[], model = FOLDER) =>
  prepareModel({ model, loras, dataDir: join(work, 'data'), plan: 'fp32' })

const inFixtures = ({ file, weight }: LoraChoice) => ({ file: join(LORAS, file), weight })

async function openMerged(source: ModelSource, loras: LoraChoice[]): Promise<Record<Part, WeightsSource>> {
  const opened = await Promise.all(PARTS.map(async (part) => [part, await source.openPart(part)]))
  const files = loras.map(({ file, weight }) => ({ path: file, label: file.split('/').at(-1)!, weight }))
  return mergeLoras(Object.fromEntries(opened), files, source.unet)
}

/** Files and checkpoints write the text encoders' names with or without this prefix. */
function findName(weights: WeightsSource, name: string): string {
  return weights.shapeOf(name) ? name : `text_model.${name}`
}

describe.each(cases)('LoRA files $name', ({ name, files, weights }) => {
  it.each([
    ['the folder', () => openSource(FOLDER)],
    ['the single file', () => openSingleFile(checkpoint)],
  ])('change the weights of %s as diffusers changes them', async (_what, open) => {
    const parts = await openMerged(await open(), files.map(inFixtures))
    for (const weight of weights) {
      const values = await parts[weight.part].read(findName(parts[weight.part], weight.name))
      const step = Math.max(1, Math.floor(values.length / 32))
      fromBase64(weight.values).forEach((theirs, i) => {
        expect(Math.abs(values[i * step]! - theirs), weight.name).toBeLessThanOrEqual(
          1e-6 + 1e-5 * Math.abs(theirs),
        )
      })
    }
    await Promise.all(PARTS.map((part) => parts[part].close()))
  })

  it('draw the picture that diffusers draws, within 1/255', async () => {
    const { dir } = await prepare(files.map(inFixtures))
    const model = await loadModel(dir, { threads: 1 })
    const input = { prompt: 'a red fox, 8k', seed: 7, width: 64, height: 64, steps: 2 }
    const [image] = await generate(model, [input])
    const ours = await toPixels(Buffer.from(image!.png))
    const theirs = await toPixels(await readFile(join(LORAS, `${name}.png`)))
    expect(Math.max(...ours.map((value, i) => Math.abs(value - theirs[i]!)))).toBeLessThanOrEqual(1)
  })
})

describe('mergeLoras', () => {
  it('leaves other weights as they are', async () => {
    const source = await openSource(FOLDER)
    const name = 'up_blocks.0.resnets.0.conv1.weight'
    const [plain, merged] = [await source.openPart('unet'), await openMerged(source, [peft(1)])]
    expect(await merged.unet.read(name)).toEqual(await plain.read(name))
    await Promise.all([plain.close(), ...PARTS.map((part) => merged[part].close())])
  })

  it('gives a compiled model of its own for every set of files and weights, and names them in model.json', async () => {
    const dirs = await Promise.all(
      [[], [peft(1)], [peft(0.5)], [peft(1), peft(1)]].map(async (loras) => (await prepare(loras)).dir),
    )
    expect(new Set(dirs).size).toBe(4)
    expect((await prepare([peft(0.5)])).dir).toBe(dirs[2])
    const { loras, sourceFiles } = JSON.parse(await readFile(join(dirs[2]!, 'model.json'), 'utf8'))
    expect(loras).toEqual([
      { file: 'peft.safetensors', sha256: sourceFiles['loras/0-peft.safetensors'], weight: 0.5 },
    ])
  })

  it('with weight 0 changes nothing', async () => {
    const files = async (dir: string) => JSON.parse(await readFile(join(dir, 'model.json'), 'utf8')).files
    expect(await files((await prepare([peft(0)])).dir)).toEqual(await files((await prepare([])).dir))
  })

  it.each<[string, (tensors: Tensors) => unknown, RegExp]>([
    [
      'tensors of another model',
      (tensors) => {
        for (const i of [1, 2, 3, 4]) tensors.set(`lora_unet_blocks_${i}.lora_up.weight`, tensor([2, 2]))
      },
      /bad.safetensors: 4 of 46 tensors match nothing in the model: lora_unet_blocks_1.lora_up.weight, lora_unet_blocks_2\S+, lora_unet_blocks_3\S+, …/,
    ],
    [
      'a down matrix without its up',
      (tensors) => tensors.delete('unet.conv_in.lora_B.weight'),
      /bad.safetensors: unet.conv_in has no up matrix; both are expected/,
    ],
    [
      'a matrix of another width',
      (tensors) => tensors.set('unet.conv_in.lora_A.weight', tensor([2, 4, 1, 1])),
      /unet.conv_in.lora_B.weight \[8,2,1,1\] and unet.conv_in.lora_A.weight \[2,4,1,1\] do not fit unet's conv_in.weight; \[8, rank\] and \[rank, 4,3,3\] are expected/,
    ],
    [
      'DoRA',
      (tensors) => tensors.set('lora_unet_conv_in.dora_scale', tensor([8])),
      /lora_unet_conv_in.dora_scale belongs to DoRA/,
    ],
    [
      'LoHa',
      (tensors) => tensors.set('lora_unet_conv_in.hada_w1_a', tensor([8, 2])),
      /hada_w1_a belongs to LoHa/,
    ],
    [
      'LoKr',
      (tensors) => tensors.set('lora_unet_conv_in.lokr_w1', tensor([8, 2])),
      /lokr_w1 belongs to LoKr/,
    ],
    [
      'a core tensor',
      (tensors) => tensors.set('lora_unet_conv_in.lora_mid.weight', tensor([2, 2, 3, 3])),
      /belongs to a LoCon with a core tensor/,
    ],
    [
      'whole numbers',
      (tensors) => tensors.set('unet.conv_in.alpha', { dtype: 'I64', shape: [], data: Buffer.alloc(8) }),
      /tensor unet.conv_in.alpha is of type I64; F16, BF16 or F32 is expected/,
    ],
    [
      'a value that is no number',
      (tensors) =>
        tensors.set('unet.conv_in.lora_A.weight', { ...tensor([2, 4, 3, 3]), data: Buffer.alloc(144, 0x7e) }),
      /bad.safetensors: tensor unet.conv_in.lora_A.weight holds NaN at position 0; finite numbers are expected/,
    ],
    ['nothing', (tensors) => tensors.clear(), /bad.safetensors holds no tensors; it is no LoRA/],
  ])('refuses %s, naming file and tensor', async (_what, damage, message) => {
    const tensors = await readTensors(join(LORAS, 'peft.safetensors'))
    damage(tensors)
    const file = join(work, 'bad.safetensors')
    await writeTensors(file, tensors)
    await expect(prepare([{ file, weight: 1 }])).rejects.toThrow(message)
    await expect(prepare([{ file, weight: 1 }])).rejects.toBeInstanceOf(CompileError)
  })

  it('refuses settings of PEFT that scale otherwise', async () => {
    const file = join(work, 'rs.safetensors')
    const settings = JSON.stringify({ 'unet.lora_alpha': 4, 'unet.use_rslora': true })
    await writeTensors(file, await readTensors(join(LORAS, 'peft.safetensors')), {
      lora_adapter_metadata: settings,
    })
    await expect(prepare([{ file, weight: 1 }])).rejects.toThrow(
      /lora_adapter_metadata sets unet.use_rslora to true, which is not supported/,
    )
  })

  it('refuses a file that is not there, and a model that is compiled already', async () => {
    await expect(prepare([{ file: 'nowhere.safetensors', weight: 1 }])).rejects.toThrow(
      /there is no LoRA file .*nowhere.safetensors/,
    )
    const { dir } = await prepare([])
    await expect(prepare([peft(1)], dir)).rejects.toThrow(
      /is compiled already; a LoRA is merged into a source/,
    )
  })
})

const peft = (weight: number) => ({ file: join(LORAS, 'peft.safetensors'), weight })

const tensor = (shape: number[]) => ({
  dtype: 'F16',
  shape,
  data: Buffer.alloc(2 * shape.reduce((a, b) => a * b, 1)),
})

async function toPixels(png: Buffer): Promise<Uint8Array> {
  return sharp(png).removeAlpha().raw().toBuffer()
}

function fromBase64(text: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer)
}
