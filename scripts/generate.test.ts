import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeSingleFile } from '@sdcpu/model-compiler/testing'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { outputFiles, parseGenerateOptions } from './generate-options.ts'
import { runScript } from './run-script.ts'

const FIXTURES = join(import.meta.dirname, '../packages/model-compiler/src/fixtures')
const MODEL = join(FIXTURES, 'models/twolevels')

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-generate-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const run = (...args: string[]) => runScript('generate.ts', args, { cwd: folder })

describe('npm run generate', () => {
  it('writes the pictures and one line of JSON', async () => {
    const { code, stdout, stderr } = await run(
      ...[
        'a red fox',
        '--model',
        MODEL,
        '--seed',
        '4294967295',
        '--n',
        '2',
        '--size',
        '96x64',
        '--steps',
        '2',
      ],
      ...['--out', 'made/fox.png', '--json', '--threads', '1'],
    )
    expect(code).toBe(0)
    expect(stderr).toContain('Loading the model for 1 thread, as set')
    expect(stdout.trimEnd().split('\n')).toHaveLength(1)
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({ seed: 4294967295, size: '96x64', steps: 2, plan: 'fp32', threads: 1 })
    expect(Object.keys(report.timingsMs)).toEqual(['load', 'encodePrompts', 'steps', 'decode', 'encodePng'])
    expect(report.timingsMs.steps).toHaveLength(2)
    expect(report.peakRssBytes).toBeGreaterThan(30e6)
    expect((await readdir(join(folder, 'made'))).toSorted()).toEqual(['fox-0.png', 'fox-1.png'])
    const text = await readFile(join(folder, 'made/fox-1.png'), 'latin1')
    // The second picture's seed is one more, and seeds wrap at 2^32.
    expect(text).toContain(
      'parameters\0a red fox\nSteps: 2, Sampler: Euler a, CFG scale: 1, Seed: 0, Size: 96x64',
    )
  })

  it('draws a seed and reports it, and takes size and steps from the model', async () => {
    const { code, stdout } = await run('a red fox', '--model', MODEL, '--json')
    expect(code).toBe(0)
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({ size: '64x64', steps: 4, files: ['out.png'] })
    expect(Number.isInteger(report.seed)).toBe(true)
  })

  it('draws with guidance away from a negative prompt, by the sampler named as A1111 does', async () => {
    const { code, stdout, stderr } = await run(
      ...['a red fox', '--model', MODEL, '--steps', '2', '--seed', '7', '--json', '--out', 'guided.png'],
      ...['--negative', 'blurry', '--guidance', '2.25', '--sampler', 'DPM++ 2M Karras'],
    )
    expect(code, stderr).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ sampler: 'dpmpp_2m_karras', guidance: 2.25, warnings: [] })
    const text = await readFile(join(folder, 'guided.png'), 'latin1')
    expect(text).toContain(
      'a red fox\nNegative prompt: blurry\nSteps: 2, Sampler: DPM++ 2M Karras, CFG scale: 2.25, Seed: 7',
    )
  })

  it('says that a negative prompt without guidance has no effect', async () => {
    const { code, stdout, stderr } = await run(
      ...['a red fox', '--model', MODEL, '--steps', '1', '--negative', 'blurry', '--json'],
    )
    expect(code).toBe(0)
    const warning = 'the negative prompt has no effect at guidance 1; it takes a guidance above 1'
    expect(stderr).toContain(`Warning: ${warning}`)
    expect(JSON.parse(stdout)).toMatchObject({ sampler: 'euler_a', guidance: 1, warnings: [warning] })
  })

  it('draws with a single-file checkpoint and a LoRA merged into it', async () => {
    // The model's name stands in the picture's text, so that the file is called as the folder is.
    const file = join(folder, 'single/threelevels.safetensors')
    await writeSingleFile(file)
    const lora = join(FIXTURES, 'loras/peft.safetensors')
    const options = ['a red fox', '--seed', '7', '--size', '64x64', '--steps', '1', '--threads', '1']
    const pictures: Record<string, Buffer> = {}
    for (const [name, more] of Object.entries({
      folder: ['--model', join(FIXTURES, 'models/threelevels')],
      file: ['--model', file],
      none: ['--model', file, '--lora', `${lora}:0`],
      merged: ['--model', file, '--lora', `${lora}:0.5`, '--lora', lora],
    })) {
      const { code, stderr } = await run(...options, ...more, '--out', `${name}.png`)
      expect(code, stderr).toBe(0)
      pictures[name] = await readFile(join(folder, `${name}.png`))
    }
    expect(pictures.file!.equals(pictures.folder!)).toBe(true)
    expect(pictures.none!.equals(pictures.folder!)).toBe(true)
    expect(pictures.merged!.equals(pictures.folder!)).toBe(false)
  })

  it('draws from a picture, as diffusers does', async () => {
    const pictures = join(FIXTURES, 'picture-to-picture')
    const { code, stdout, stderr } = await run(
      ...['a red fox, 8k', '--model', join(FIXTURES, 'models/threelevels'), '--seed', '7', '--steps', '4'],
      ...['--image', join(pictures, 'disc-64x64.png'), '--strength', '0.75', '--json', '--out', 'from.png'],
    )
    expect(code, stderr).toBe(0)
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({ strength: 0.75, steps: 4, size: '64x64' })
    expect(report.timingsMs.steps).toHaveLength(3)
    expect(stderr).toContain('Step 3 of 3')
    const [ours, theirs] = await Promise.all(
      [join(folder, 'from.png'), join(pictures, 'threelevels-1-0.png')].map((file) => toPixels(file)),
    )
    expect(ours).toHaveLength(theirs!.length)
    ours!.forEach((value, i) => {
      expect(Math.abs(value - theirs![i]!)).toBeLessThanOrEqual(1)
    })
  })

  it('exits 1 for a picture that is not there, before it compiles anything', async () => {
    const { code, stderr } = await run('a red fox', '--model', MODEL, '--image', 'nowhere.png')
    expect(code).toBe(1)
    expect(stderr).toMatch(/^--image nowhere.png cannot be read: ENOENT/)
  })

  it('exits 2 with usage for bad arguments', async () => {
    const { code, stdout, stderr } = await run('a red fox', '--steps', '80')
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^--steps is 80; it must be a whole number from 1 to 50\n\nUsage:/)
  })

  it('exits 1 with one sentence when the model is not there', async () => {
    const { code, stderr } = await run('a red fox', '--model', 'nowhere')
    expect(code).toBe(1)
    expect(stderr).toMatch(/^there is no model "nowhere"/)
  })
})

describe('parseGenerateOptions', () => {
  it.each<[string[], RegExp]>([
    [[], /a prompt is needed/],
    [['   '], /a prompt is needed/],
    [['a', 'b'], /one prompt is expected; "b" is a second/],
    [['a', '--seed', '-1'], /seed/],
    [['a', '--seed', '4294967296'], /--seed is 4294967296; it must be a whole number from 0 to 4294967295/],
    [['a', '--seed', '1.5'], /--seed is 1.5/],
    [['a', '--n', '0'], /--n is 0; it must be a whole number from 1 to 16/],
    [
      ['a', '--size', '513x512'],
      /--size is 513x512; it must be WIDTHxHEIGHT, each a multiple of 8 from 64 to 2048/,
    ],
    [['a', '--size', '512'], /--size is 512;/],
    [['a', '--plan', 'int4'], /--plan is int4; it must be one of auto, fp32, int8/],
    [['a', '--out', 'x.jpg'], /--out is x.jpg; it must end in .png/],
    [['a', '--guidance', '-1'], /guidance/],
    [['a', '--guidance', '31'], /--guidance is 31; it must be a number from 0 to 30/],
    [['a', '--guidance', 'much'], /--guidance is much/],
    [
      ['a', '--sampler', 'UniPC'],
      /--sampler is UniPC; it must be one of euler_a, euler, dpmpp_2m, dpmpp_2m_karras, dpmpp_sde_karras, lcm, tcd/,
    ],
    [['a', '--lora', 'x.ckpt'], /--lora is x.ckpt; it must be FILE.safetensors or FILE.safetensors:WEIGHT/],
    [['a', '--strength', '0.5'], /--strength is 0.5, but there is no --image to begin with/],
    [['a', '--image', 'x.png', '--strength', '0'], /--strength is 0; it must be a number above 0 and not/],
    [['a', '--image', 'x.png', '--strength', '1.1'], /--strength is 1.1; it must be a number above 0/],
    [['a', '--decoder', 'huge'], /--decoder is huge; it must be tiny, or left out/],
    [['a', '--decoder-source', 'x'], /--decoder-source is x; it takes --decoder tiny/],
    [['a', '--vae', 'x', '--decoder', 'tiny'], /--vae x and --decoder tiny are two decoders; give one/],
    [['a', '--check', 'none'], /--check is none; it must be quick or full/],
    [['a', '--colour'], /--colour/],
  ])('refuses %j', (args, message) => {
    expect(() => parseGenerateOptions(args)).toThrow(message)
  })
})

async function toPixels(file: string): Promise<Uint8Array> {
  return sharp(file).removeAlpha().raw().toBuffer()
}

it('numbers the files of several pictures', () => {
  expect(outputFiles('a.png.png', 2)).toEqual(['a.png-0.png', 'a.png-1.png'])
  expect(outputFiles('a.png', 1)).toEqual(['a.png'])
})
