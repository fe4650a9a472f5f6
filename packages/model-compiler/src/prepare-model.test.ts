import { cp, mkdir, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { loadModel } from '@sdcpu/diffusion'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CompileError } from './compile-error.ts'
import { prepareModel } from './prepare-model.ts'

const FIXTURE = join(import.meta.dirname, 'fixtures/models/threelevels')
const UNET = 'unet/diffusion_pytorch_model.safetensors'

let work: string
let folder: string
let dataDir: string
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'sd-prepare-'))
  folder = join(work, 'model')
  dataDir = join(work, 'data')
  await cp(FIXTURE, folder, { recursive: true })
})
afterEach(() => rm(work, { recursive: true, force: true }))

const prepare = (model = folder) => prepareModel({ model, dataDir, plan: 'fp32' })

/** Every file below a folder, with when it was written. */
async function listing(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true })
  return Promise.all(
    entries.sort().map(async (entry) => `${entry} ${(await stat(join(dir, entry))).mtimeMs}`),
  )
}

async function editJson(path: string, change: Record<string, unknown>): Promise<void> {
  const value = JSON.parse(await readFile(join(folder, path), 'utf8'))
  await writeFile(join(folder, path), JSON.stringify({ ...value, ...change }))
}

/** Renames a tensor in place by an equally long name, or changes digits of its shape. */
async function editHeader(path: string, from: string, to: string): Promise<void> {
  const bytes = await readFile(join(folder, path))
  const at = bytes.indexOf(from)
  expect(at).toBeGreaterThan(0)
  expect(to.length).toBe(from.length)
  bytes.write(to, at)
  await writeFile(join(folder, path), bytes)
}

describe('prepareModel', () => {
  it('compiles a source once and finds it again by content', async () => {
    const messages: string[] = []
    const first = await prepareModel({
      model: folder,
      dataDir,
      plan: 'fp32',
      onProgress: (p) => messages.push(p.message),
    })
    expect(messages).toContain('Compiling unet_mid')
    const { mtimeMs } = await stat(join(first.dir, 'model.json'))
    const copy = join(work, 'elsewhere', 'model')
    await cp(folder, copy, { recursive: true })
    const second = await prepare(copy)
    expect(second.dir).toBe(first.dir)
    expect((await stat(join(second.dir, 'model.json'))).mtimeMs).toBe(mtimeMs)
  })

  it('compiles again when a weight changed', async () => {
    const first = await prepare()
    const file = await open(join(folder, UNET), 'r+')
    const { size } = await file.stat()
    await file.write(Buffer.of(1, 2), 0, 2, size - 2)
    await file.close()
    expect((await prepare()).dir).not.toBe(first.dir)
  })

  it('writes nothing where everything is there', async () => {
    await prepare()
    const before = await listing(dataDir)
    await prepare()
    expect(await listing(dataDir)).toEqual(before)
    expect(before.length).toBeGreaterThan(10)
  })

  it('compiles once for two that ask at the same time', async () => {
    const messages: string[] = []
    const ask = () =>
      prepareModel({ model: folder, dataDir, plan: 'fp32', onProgress: (p) => messages.push(p.message) })
    const [first, second] = await Promise.all([ask(), ask()])
    expect(first.dir).toBe(second.dir)
    expect(messages.filter((message) => message === 'Compiling unet_mid')).toHaveLength(1)
    expect(messages.filter((message) => message.startsWith('Waiting for process'))).toHaveLength(1)
    expect(await readdir(join(dataDir, 'models'))).not.toContainEqual(
      expect.stringMatching(/[.](lock|partial)/),
    )
  })

  it('writes how the model is drawn well and its licence into model.json, and again when its card changes', async () => {
    const read = async ({ dir }: { dir: string }) =>
      JSON.parse(await readFile(join(dir, 'model.json'), 'utf8'))
    const without = await read(await prepare())
    expect(without.recommended).toMatchObject({ family: 'turbo', steps: 4, guidance: 1, sampler: 'euler_a' })
    expect(without).not.toHaveProperty('licence')
    const card = 'license: mit\ninference:\n  parameters:\n    num_inference_steps: 2'
    await writeFile(join(folder, 'README.md'), `---\n${card}\n---\n`)
    const carded = await read(await prepare())
    expect(carded).toMatchObject({ licence: { id: 'mit' }, recommended: { steps: 2 } })
    expect(Object.keys(carded.sourceFiles)).toContain('README.md')
  })

  it('takes a compiled folder as it is', async () => {
    const { dir } = await prepare()
    expect(await prepare(dir)).toMatchObject({ dir, plan: 'fp32' })
  })

  it('reads the infinities that diffusers writes into DPM++ configs', async () => {
    const path = join(folder, 'scheduler/scheduler_config.json')
    const { _class_name, steps_offset, ...config } = JSON.parse(await readFile(path, 'utf8'))
    const text = JSON.stringify({
      ...config,
      _class_name: 'DPMSolverMultistepScheduler',
      lambda_min_clipped: 'X',
    })
    await writeFile(path, text.replace('"X"', '-Infinity'))
    const { dir } = await prepare()
    const { scheduler } = JSON.parse(await readFile(join(dir, 'model.json'), 'utf8'))
    expect(scheduler._class_name).toBe('DPMSolverMultistepScheduler')
  })

  it('lets two processes compile the same source at the same time', async () => {
    const [a, b] = await Promise.all([prepare(), prepareModel({ model: folder, dataDir, plan: 'fp32' })])
    expect(a.dir).toBe(b.dir)
    await loadModel(a.dir, { threads: 1 })
  })

  it('removes what a killed compile left behind', async () => {
    const { dir } = await prepare()
    await rm(dir, { recursive: true })
    // No process has this number: Linux counts to 4194304 at most.
    const abandoned = `${dir}.partial.${hostname()}.99999999.x`
    const foreign = `${dir}.partial.other-host.99999999.x`
    for (const path of [abandoned, foreign]) await mkdir(path)
    await prepare()
    const left = await readdir(join(dataDir, 'models'))
    expect(left).not.toContain(basename(abandoned))
    expect(left).toContain(basename(foreign))
  })

  it.each<[string, () => Promise<unknown>, RegExp]>([
    ['a folder that is not there', () => rm(folder, { recursive: true }), /there is no model ".*model"/],
    ['a missing config', () => rm(join(folder, 'vae/config.json')), /vae\/config.json is missing/],
    [
      'a config that is not JSON',
      () => writeFile(join(folder, 'unet/config.json'), '{'),
      /unet\/config.json is not JSON/,
    ],
    [
      'missing weights',
      () => rm(join(folder, UNET)),
      /unet holds no weights; diffusion_pytorch_model.safetensors/,
    ],
    [
      'missing merges',
      () => rm(join(folder, 'tokenizer_2/merges.txt')),
      /tokenizer_2\/merges.txt is missing/,
    ],
    [
      'truncated weights',
      () => truncate(join(folder, UNET), 700_000),
      /unet\/diffusion_pytorch_model.safetensors is truncated: tensor \S+ ends at byte \d+, but the file is 700000 bytes/,
    ],
    [
      'a missing tensor',
      () => editHeader(UNET, '"conv_in.weight"', '"conv_on.weight"'),
      /unet\/diffusion_pytorch_model.safetensors: tensor conv_in.weight is missing; a shape of \[8,4,3,3\] is expected/,
    ],
    [
      'a tensor of another shape',
      () => editHeader(UNET, '[8,4,3,3]', '[4,8,3,3]'),
      /tensor conv_in.weight has shape \[4,8,3,3\]; \[8,4,3,3\] is expected/,
    ],
    [
      'a weight that is no number',
      async () => {
        const file = await open(join(folder, UNET), 'r+')
        // The last half of the last tensor becomes fp16's NaN.
        await file.write(Buffer.of(0, 0x7e), 0, 2, (await file.stat()).size - 2)
        await file.close()
      },
      /unet\/diffusion_pytorch_model.safetensors: tensor \S+ holds NaN at position \d+; finite numbers are expected/,
    ],
    [
      'tensors that the config does not speak of',
      () => editJson('unet/config.json', { transformer_layers_per_block: [1, 1, 1] }),
      /tensor \S+\.transformer_blocks\.1\.\S+ and \d+ others have no place in the network that unet\/config.json describes/,
    ],
    [
      'another conditioning',
      () => editJson('unet/config.json', { addition_embed_type: 'text' }),
      /unet\/config.json: addition_embed_type is "text"; only "text_time" is supported/,
    ],
    [
      'guidance embedding',
      () => editJson('unet/config.json', { time_cond_proj_dim: 256 }),
      /time_cond_proj_dim is 256; only null is supported/,
    ],
    [
      'an unknown block',
      () =>
        editJson('unet/config.json', { down_block_types: ['DownBlock2D', 'KDownBlock2D', 'DownBlock2D'] }),
      /down_block_types.1 is "KDownBlock2D"; supported are DownBlock2D, CrossAttnDownBlock2D/,
    ],
    [
      'too few heads',
      () => editJson('unet/config.json', { attention_head_dim: [1, 2] }),
      /attention_head_dim is \[1,2\]; block_out_channels has 3 entries, so 3 are expected/,
    ],
    [
      'groups that do not divide the channels',
      () => editJson('vae/config.json', { norm_num_groups: 7 }),
      /vae\/config.json: block_out_channels is \[8,16,16,24\]; 8 is not a multiple of norm_num_groups 7/,
    ],
    [
      'a context of another width',
      () => editJson('unet/config.json', { cross_attention_dim: 64 }),
      /cross_attention_dim is 64; the text encoders give 16 \+ 24 = 40/,
    ],
    [
      'another scheduler',
      () => editJson('scheduler/scheduler_config.json', { _class_name: 'DDIMScheduler' }),
      /scheduler_config.json: .*DDIMScheduler/,
    ],
    [
      'another pipeline',
      () => editJson('model_index.json', { _class_name: 'FluxPipeline' }),
      /model_index.json: _class_name is "FluxPipeline"; only "StableDiffusionXLPipeline"/,
    ],
  ])('refuses %s and leaves nothing behind', async (_what, damage, message) => {
    await damage()
    await expect(prepare()).rejects.toThrow(message)
    await expect(prepare()).rejects.toBeInstanceOf(CompileError)
    const left = await readdir(join(dataDir, 'models')).catch(() => [])
    expect(left.filter((name) => name !== 'hashes.json')).toEqual([])
  })
})

describe('loadModel', () => {
  it.each<[string, (dir: string) => Promise<unknown>, RegExp]>([
    [
      'without a manifest',
      (dir) => rm(join(dir, 'model.json')),
      /model.json is missing; .* is not a compiled model/,
    ],
    [
      'with a file missing',
      (dir) => rm(join(dir, 'unet_up.weights')),
      /unet_up.weights is missing; compile the model again/,
    ],
    [
      'with a file cut short',
      (dir) => truncate(join(dir, 'vae_mid.weights'), 10),
      /vae_mid.weights is 10 bytes; model.json says \d+/,
    ],
    [
      'with a flipped byte',
      async (dir) => {
        const bytes = await readFile(join(dir, 'unet_mid.weights'))
        bytes[100]! ^= 1
        await writeFile(join(dir, 'unet_mid.weights'), bytes)
      },
      /unet_mid.weights is damaged: its SHA-256 is not the one in model.json/,
    ],
  ])('refuses a compiled model %s', async (_what, damage, message) => {
    const { dir } = await prepare()
    await damage(dir)
    await expect(loadModel(dir, { threads: 1 })).rejects.toThrow(message)
  })
})
