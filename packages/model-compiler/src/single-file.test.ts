import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { buildAutoencoder } from './autoencoder.ts'
import { CompileError } from './compile-error.ts'
import { toFloat32 } from './float16.ts'
import { prepareModel } from './prepare-model.ts'
import { openSingleFile } from './single-file.ts'
import {
  FOLDER,
  putConfigBeside,
  singleFileTensors,
  type Tensors,
  writeTensors,
} from './testing/single-file.ts'
import { buildUnet } from './unet.ts'

const UNET = 'model.diffusion_model.'

let work: string
let original: Tensors
let tensors: Tensors
let path: string
let count = 0
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'sd-single-'))
  original = (await singleFileTensors()).tensors
})
afterAll(() => rm(work, { recursive: true, force: true }))
beforeEach(() => {
  tensors = new Map(original)
  path = join(work, `${count++}`, 'turbo.safetensors')
})

const prepare = (model: string) => prepareModel({ model, dataDir: join(work, 'data'), plan: 'fp32' })

/** Size and digest of all files of a compiled model but one: transformers 5 saved this folder's first text encoder without
 * the prefix `text_model`, so that its graph's names are shorter than the checkpoint's. Its weights are the same. */
async function filesOf(dir: string): Promise<Record<string, { sha256: string }>> {
  const { 'text_encoder.onnx': _, ...files } = JSON.parse(
    await readFile(join(dir, 'model.json'), 'utf8'),
  ).files
  return files
}

const half = (tensor: { data: Buffer }) => toFloat32(Buffer.from(new Uint8Array(tensor.data)), 'F16')

/** float16 tensors as float32, or cut to bfloat16. */
function convert(dtype: 'F32' | 'BF16'): void {
  for (const [name, { dtype: stored, shape, data }] of tensors) {
    const wide = stored === 'F16' ? Buffer.from(half({ data }).buffer) : data
    const words = new Uint16Array(new Uint8Array(wide).buffer).filter((_, i) => i % 2 === 1)
    tensors.set(name, { dtype, shape, data: dtype === 'F32' ? wide : Buffer.from(words.buffer) })
  }
}

describe('a single-file checkpoint', () => {
  it('is rebuilt here byte for byte as diffusers read it', async () => {
    const { dataSha256 } = await singleFileTensors()
    const hash = createHash('sha256')
    for (const { data } of original.values()) hash.update(data)
    expect(hash.digest('hex')).toBe(dataSha256)
  })

  it('compiles to the same weights, tokenizers and graphs as the folder it was made from', async () => {
    await writeTensors(path, tensors)
    await putConfigBeside(path)
    const [single, folder] = [await prepare(path), await prepare(FOLDER)]
    expect(single.dir).not.toBe(folder.dir)
    expect(await filesOf(single.dir)).toEqual(await filesOf(folder.dir))
  })

  it('compiles to the same weights from float32, and beside tensors that drawing does not need', async () => {
    convert('F32')
    const one = { dtype: 'F32', shape: [], data: Buffer.alloc(4) }
    for (const name of ['conditioner.embedders.1.model.logit_scale', 'denoiser.sigmas', 'model_ema.decay'])
      tensors.set(name, one)
    const positions = 'conditioner.embedders.0.transformer.text_model.embeddings.position_ids'
    tensors.set(positions, { dtype: 'I64', shape: [1], data: Buffer.alloc(8) })
    await writeTensors(path, tensors)
    await putConfigBeside(path)
    expect(await filesOf((await prepare(path)).dir)).toEqual(await filesOf((await prepare(FOLDER)).dir))
  })

  it('opens in bfloat16 under the same names and shapes', async () => {
    await writeTensors(path, tensors)
    await putConfigBeside(path)
    const before = await (await openSingleFile(path)).openPart('text_encoder_2')
    const name = 'text_model.encoder.layers.1.self_attn.k_proj.weight'
    const exact = await before.read(name)
    convert('BF16')
    await writeTensors(path, tensors)
    const after = await (await openSingleFile(path)).openPart('text_encoder_2')
    expect(after.names()).toEqual(before.names())
    const rounded = await after.read(name)
    rounded.forEach((value, i) => {
      expect(Math.abs(value - exact[i]!)).toBeLessThanOrEqual(Math.abs(exact[i]!) / 128)
    })
    await Promise.all([before.close(), after.close()])
  })

  it('tells its configs from the shapes, all but the heads, groups and tokenizers of a model this small', async () => {
    await writeTensors(path, tensors)
    const config = await putConfigBeside(path)
    const given = await openSingleFile(path)
    await rm(join(config, 'scheduler'), { recursive: true })
    await rm(join(config, 'model_index.json'))
    expect((await openSingleFile(path)).scheduler).toEqual(given.scheduler)
    await rm(join(config, 'unet'), { recursive: true })
    await expect(openSingleFile(path)).rejects.toThrow(
      /turbo.safetensors: its shapes do not tell unet\/config.json: .*attention_head_dim.* Put the model's own config at turbo.config\/unet\/config.json/,
    )
  })

  it("tells SDXL-Turbo's own configs from the shapes of its checkpoint, and its graphs from both", async () => {
    await writeSdxlShapes()
    const { configs } = await sdxlShapes()
    const source = await openSingleFile(path)
    const { layers_per_block, ...unet } = configs.unet as { layers_per_block: number }
    expect(source.unet).toMatchObject({ ...unet, layers_per_block: [2, 2, 2] })
    expect(source.vae).toMatchObject(configs.vae!)
    // Nothing reads the first text encoder's projection; its config only names one.
    const { projection_dim, ...textEncoder } = configs.textEncoder as { projection_dim: number }
    expect(source.textEncoder).toMatchObject(textEncoder)
    expect(source.textEncoder2).toMatchObject(configs.textEncoder2!)
    expect(source.index.force_zeros_for_empty_prompt).toBe(true)
    expect(source.scheduler).toMatchObject({
      _class_name: 'EulerAncestralDiscreteScheduler',
      timestep_spacing: 'trailing',
      prediction_type: 'epsilon',
      beta_schedule: 'scaled_linear',
    })
    const weights = await source.openPart('unet')
    expect(buildUnet(source.unet, weights).steps).toHaveLength(3)
    await weights.close()
    const vae = await source.openPart('vae')
    const { decoder, encoder } = buildAutoencoder(source.vae, vae)
    expect([decoder.length, encoder.length]).toEqual([5, 5])
    await vae.close()
  })

  it('predicts velocities where an empty tensor v_pred says so', async () => {
    await writeSdxlShapes(['v_pred'])
    expect((await openSingleFile(path)).scheduler.prediction_type).toBe('v_prediction')
  })

  it('draws at the size that its metadata name', async () => {
    await writeSdxlShapes([], { 'modelspec.resolution': '1024x1024' })
    expect((await openSingleFile(path)).unet.sample_size).toBe(128)
  })

  it('says what it is in its metadata, and what of its configs is our guess', async () => {
    await writeSdxlShapes([], { 'modelspec.title': 'Fox Lightning', 'modelspec.license': 'openrail++' })
    expect(await openSingleFile(path)).toMatchObject({
      card: { title: 'Fox Lightning', licence: { id: 'openrail++' } },
      inferred: { scheduler: true, size: true },
    })
    await writeSdxlShapes([], { 'modelspec.resolution': '1024x1024' })
    expect((await openSingleFile(path)).inferred).toEqual({ scheduler: true, size: false })
  })

  it("is given CLIP's own vocabulary", async () => {
    await writeSdxlShapes()
    const { tokenizerFiles, files } = await openSingleFile(path)
    expect(Object.keys(tokenizerFiles)).toContain('tokenizer_2/vocab.json')
    expect(Object.keys(files)).toEqual(['clip-merges.txt.gz', 'turbo.safetensors'])
  })

  it.each<[string, () => unknown, RegExp]>([
    [
      'a missing tensor',
      () => tensors.delete(`${UNET}input_blocks.4.1.proj_in.bias`),
      /turbo.safetensors \(model.diffusion_model.input_blocks.4.1.proj_in.bias\): tensor down_blocks.1.attentions.0.proj_in.bias is missing; a shape of \[16\] is expected/,
    ],
    [
      'a missing tensor that the shapes are read from',
      () => tensors.delete(`${UNET}label_emb.0.0.weight`),
      /turbo.safetensors: tensor model.diffusion_model.label_emb.0.0.weight is missing/,
    ],
    [
      'a tensor of another shape',
      () => tensors.set(`${UNET}out.2.bias`, { dtype: 'F16', shape: [5], data: Buffer.alloc(10) }),
      /\(model.diffusion_model.out.2.bias\): tensor conv_out.bias has shape \[5\]; \[4\] is expected/,
    ],
    [
      'a tensor that no SDXL model has',
      () => tensors.set(`${UNET}middle_block.3.weight`, tensors.get(`${UNET}out.2.bias`)!),
      /tensor model.diffusion_model.middle_block.3.weight has no place in an SDXL UNet/,
    ],
    [
      'eight-bit floats',
      () =>
        tensors.set(`${UNET}input_blocks.4.1.proj_in.weight`, {
          dtype: 'F8_E4M3',
          shape: [16, 16],
          data: Buffer.alloc(256),
        }),
      /tensor model.diffusion_model.input_blocks.4.1.proj_in.weight is of type F8_E4M3; F16, BF16 or F32 is expected/,
    ],
    [
      'zero terminal SNR',
      () => tensors.set('ztsnr', tensors.get(`${UNET}out.2.bias`)!),
      /tensor ztsnr marks a model trained with zero terminal SNR, which is not supported/,
    ],
    [
      'an inpainting model',
      () =>
        tensors.set(`${UNET}input_blocks.0.0.weight`, {
          dtype: 'F16',
          shape: [8, 9, 3, 3],
          data: Buffer.alloc(1296),
        }),
      /input_blocks.0.0.weight takes 9 channels; 4 are expected \(9 is an inpainting model/,
    ],
    [
      'a Stable Diffusion 1 model',
      () => rename('conditioner.embedders.0', 'cond_stage_model'),
      /this is a Stable Diffusion 1 model/,
    ],
    [
      'the SDXL refiner',
      () => {
        drop('conditioner.embedders.0')
        rename('conditioner.embedders.1', 'conditioner.embedders.0')
      },
      /this is the SDXL refiner/,
    ],
    [
      'a Flux model',
      () => {
        tensors.clear()
        tensors.set('double_blocks.0.img_attn.norm.key_norm.scale', {
          dtype: 'F32',
          shape: [1],
          data: Buffer.alloc(4),
        })
      },
      /a single-file SDXL checkpoint is expected; this is a Flux model/,
    ],
    [
      'a UNet alone',
      () => {
        drop('conditioner')
        drop('first_stage_model')
      },
      /this is a UNet without its text encoders and VAE/,
    ],
    [
      'a VAE alone',
      () => {
        drop('conditioner')
        drop('model')
      },
      /this is a VAE alone/,
    ],
    [
      'a LoRA',
      () => tensors.set('lora_unet_x.lora_up.weight', tensors.get(`${UNET}out.2.bias`)!),
      /this is a LoRA; give it with --lora/,
    ],
    ['something else', () => rename('conditioner.embedders', 'text'), /turbo.safetensors: .* is expected/],
  ])('refuses %s by name and leaves nothing behind', async (_what, damage, message) => {
    damage()
    await writeTensors(path, tensors)
    await putConfigBeside(path)
    const before = await readdir(join(work, 'data/models')).catch(() => [])
    await expect(prepare(path)).rejects.toThrow(message)
    await expect(prepare(path)).rejects.toBeInstanceOf(CompileError)
    const after = await readdir(join(work, 'data/models')).catch(() => [])
    expect(after.filter((name) => name !== 'hashes.json')).toEqual(
      before.filter((name) => name !== 'hashes.json'),
    )
  })

  it('is refused when it is cut short, and when it is a pickle', async () => {
    await writeTensors(path, tensors)
    await truncate(path, 1_000_000)
    await expect(prepare(path)).rejects.toThrow(
      /turbo.safetensors is truncated: tensor \S+ ends at byte \d+, but the file is 1000000 bytes/,
    )
    const pickle = path.replace('.safetensors', '.ckpt')
    await writeFile(pickle, 'x')
    await expect(prepare(pickle)).rejects.toThrow(/turbo.ckpt is not a model: .* are not read/)
  })

  it('without a vocabulary for its tokens asks for the tokenizers', async () => {
    await writeTensors(path, tensors)
    const config = await putConfigBeside(path)
    for (const folder of ['tokenizer', 'tokenizer_2']) await rm(join(config, folder), { recursive: true })
    await expect(prepare(path)).rejects.toThrow(
      /a text encoder knows 752 tokens; CLIP's own vocabulary has 49408. Put the model's tokenizers at turbo.config\/tokenizer and/,
    )
  })
})

function rename(from: string, to: string): void {
  for (const [name, tensor] of [...tensors])
    if (name.startsWith(from)) {
      tensors.delete(name)
      tensors.set(to + name.slice(from.length), tensor)
    }
}

function drop(start: string): void {
  for (const name of [...tensors.keys()]) if (name.startsWith(`${start}.`)) tensors.delete(name)
}

/** Writes SDXL-Turbo's own names and shapes: 7 GB of zeros, which take no room on the disk. */
async function writeSdxlShapes(marks: string[] = [], metadata?: Record<string, string>): Promise<void> {
  const { shapes } = await sdxlShapes()
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {}
  let offset = 0
  for (const [name, shape] of [...Object.entries(shapes), ...marks.map((mark) => [mark, [0]] as const)]) {
    const end = offset + 2 * shape.reduce((a, b) => a * b, 1)
    header[name] = { dtype: 'F16', shape, data_offsets: [offset, end] }
    offset = end
  }
  const text = Buffer.from(JSON.stringify(header))
  const prefix = Buffer.alloc(8)
  prefix.writeBigUInt64LE(BigInt(text.length))
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, Buffer.concat([prefix, text]))
  await truncate(path, 8 + text.length + offset)
}

type SdxlShapes = { configs: Record<string, object>; shapes: Record<string, number[]> }

async function sdxlShapes(): Promise<SdxlShapes> {
  const packed = await readFile(join(import.meta.dirname, 'fixtures/sdxl-shapes.golden.json.gz'))
  return JSON.parse(gunzipSync(packed).toString())
}
