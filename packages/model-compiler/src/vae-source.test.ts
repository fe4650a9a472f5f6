import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CompileError } from './compile-error.ts'
import { prepareModel } from './prepare-model.ts'
import { writeSingleFile, writeVaeFile } from './testing/single-file.ts'
import { openVae } from './vae-source.ts'

const FIXTURES = join(import.meta.dirname, 'fixtures')
const THREE = join(FIXTURES, 'models/threelevels')
const TWO = join(FIXTURES, 'models/twolevels')

let work: string
let tiny: string
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'sd-vae-'))
  tiny = join(work, 'tiny')
  await cp(join(FIXTURES, 'vaes/tiny'), tiny, { recursive: true })
})
afterEach(() => rm(work, { recursive: true, force: true }))

const prepare = (model: string, source?: string, kind?: 'tiny') =>
  prepareModel({
    ...{ model, dataDir: join(work, 'data'), plan: 'fp32' },
    ...(source && { vae: { source, ...(kind && { kind }) } }),
  })

async function readManifest(dir: string) {
  return JSON.parse(await readFile(join(dir, 'model.json'), 'utf8'))
}

/** Changes the tiny VAE's config and gives its folder. */
async function editConfig(change: Record<string, unknown>): Promise<string> {
  const path = join(tiny, 'config.json')
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), ...change }))
  return tiny
}

describe('a VAE from elsewhere', () => {
  it('makes another compiled model, which says where the VAE is from', async () => {
    const own = await prepare(THREE)
    const other = await prepare(THREE, join(TWO, 'vae'))
    expect(other.dir).not.toBe(own.dir)
    const manifest = await readManifest(other.dir)
    expect(manifest.vae).toEqual({ scalingFactor: 0.5, spatialFactor: 4, from: 'vae' })
    expect((await readManifest(own.dir)).vae).not.toHaveProperty('from')
    const changed = (name: string) => manifest.sourceFiles[name]
    const { sourceFiles } = await readManifest((await prepare(TWO)).dir)
    expect(changed('vae/config.json')).toBe(sourceFiles['vae/config.json'])
  })

  it('has the same graphs and weights from a folder, a single file and a whole checkpoint', async () => {
    const file = join(work, 'one.safetensors')
    const whole = join(work, 'whole.safetensors')
    await writeVaeFile(file)
    await writeSingleFile(whole)
    const found = []
    for (const source of [THREE, join(THREE, 'vae'), file, whole]) {
      const { files } = await readManifest((await prepare(TWO, source)).dir)
      found.push(Object.entries(files).filter(([name]) => name.startsWith('vae_')))
    }
    expect(found[0]!.map(([name]) => name)).toContain('vae_moments.weights')
    for (const other of found) expect(other).toEqual(found[0])
  })

  it('may stand in a model folder as its own, tiny too', async () => {
    const model = join(work, 'model')
    await cp(THREE, model, { recursive: true })
    await rm(join(model, 'vae'), { recursive: true })
    await cp(tiny, join(model, 'vae'), { recursive: true })
    const { graphs, files } = await readManifest((await prepare(model)).dir)
    expect(graphs).toMatchObject({ decoder: ['tiny_decoder'], encoder: ['tiny_encoder'] })
    const swapped = await readManifest((await prepare(THREE, tiny, 'tiny')).dir)
    expect(files['tiny_decoder.weights']).toEqual(swapped.files['tiny_decoder.weights'])
  })

  it.each<[string, () => Promise<string>, RegExp]>([
    ['nothing', async () => join(work, 'nowhere'), /there is no VAE ".*nowhere": neither a folder or file/],
    ['an empty folder', () => mkdtemp(join(work, 'x')), /neither config.json nor vae\/config.json is there$/],
    [
      'a pickle',
      () => put('vae.ckpt'),
      /^vae.ckpt is not a VAE: it must be a folder or end in .safetensors$/,
    ],
    [
      'a file in diffusers layout',
      async () => join(tiny, 'diffusion_pytorch_model.safetensors'),
      /is a VAE in diffusers layout; give its folder, which holds config.json/,
    ],
    [
      'a LoRA',
      async () => join(FIXTURES, 'loras/peft.safetensors'),
      /peft.safetensors is not a VAE in the original layout: of \d+ tensors .* none is decoder.conv_in.weight/,
    ],
    [
      'a VAE whose config the shapes do not tell',
      async () => {
        const file = join(work, 'bare.safetensors')
        await writeVaeFile(file)
        await rm(join(work, 'bare.config'), { recursive: true })
        return file
      },
      /bare.safetensors: its shapes do not tell .* 8 is not a multiple of norm_num_groups 32.* Put the model's own config at bare.config\/vae\/config.json/,
    ],
    [
      'latents of another number of channels',
      () => editConfig({ latent_channels: 16 }),
      /unet\/config.json: in_channels is 4; vae\/config.json has latent_channels 16/,
    ],
    [
      'a class that nobody knows',
      () => editConfig({ _class_name: 'AutoencoderDC' }),
      /config.json: _class_name is "AutoencoderDC"; supported are AutoencoderKL and AutoencoderTiny/,
    ],
    [
      'widths that differ',
      () => editConfig({ decoder_block_out_channels: [12, 12, 12, 8] }),
      /decoder_block_out_channels is \[12,12,12,8\]; num_decoder_blocks has 4 entries, so as many equal widths/,
    ],
    [
      'halves that do not meet',
      () => editConfig({ num_encoder_blocks: [1, 3], encoder_block_out_channels: [8, 8] }),
      /num_encoder_blocks is \[1,3\]; num_decoder_blocks has 4 entries, so as many are expected/,
    ],
    [
      'more blocks than there are weights',
      () => editConfig({ num_decoder_blocks: [3, 3, 3, 2] }),
      /tensor decoder.layers.18.conv.0.weight is missing; a shape of \[12,12,3,3\] is expected/,
    ],
  ])('is refused where it is %s', async (_what, make, message) => {
    const preparing = prepare(THREE, await make())
    await expect(preparing).rejects.toThrow(message)
    await expect(preparing).rejects.toBeInstanceOf(CompileError)
  })

  it('is refused as a tiny decoder where it is none, and by a model that is compiled already', async () => {
    await expect(prepare(THREE, join(TWO, 'vae'), 'tiny')).rejects.toThrow(
      /vae is an AutoencoderKL; a tiny decoder is an AutoencoderTiny$/,
    )
    const { dir } = await prepare(THREE)
    await expect(prepare(dir, tiny)).rejects.toThrow(/is compiled already; another VAE takes a source/)
  })

  it('is an AutoencoderKL where the config names no class', async () => {
    const folder = join(work, 'classless')
    await cp(join(TWO, 'vae'), folder, { recursive: true })
    const path = join(folder, 'config.json')
    const { _class_name, ...rest } = JSON.parse(await readFile(path, 'utf8'))
    await writeFile(path, JSON.stringify(rest))
    expect((await openVae(folder)).config._class_name).toBe(_class_name)
  })
})

async function put(name: string): Promise<string> {
  await writeFile(join(work, name), 'x')
  return join(work, name)
}
