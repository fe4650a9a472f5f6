import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeSingleFile } from '@sdcpu/model-compiler/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runScript } from './run-script.ts'

const FIXTURES = join(import.meta.dirname, '../packages/model-compiler/src/fixtures')
const LORA = join(FIXTURES, 'loras/kohya-original.safetensors')

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-compile-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const run = (...args: string[]) => runScript('compile.ts', args, { cwd: folder })

describe('npm run compile', () => {
  it('compiles a single-file checkpoint with LoRA files merged into it, and prints the folder', async () => {
    const file = join(folder, 'turbo.safetensors')
    await writeSingleFile(file)
    const { code, stdout, stderr } = await run(file, '--lora', LORA, '--lora', `${LORA}:-0.25`)
    expect(code, stderr).toBe(0)
    const { name, loras } = JSON.parse(await readFile(join(stdout.trimEnd(), 'model.json'), 'utf8'))
    expect(name).toBe('turbo')
    expect(loras).toMatchObject([
      { file: 'kohya-original.safetensors', weight: 1 },
      { file: 'kohya-original.safetensors', weight: -0.25 },
    ])
  })

  it.each<[string[], string, string]>([
    [['--vae', join(FIXTURES, 'models/twolevels/vae')], 'vae', 'vae_up_2'],
    [['--decoder', 'tiny', '--decoder-source', join(FIXTURES, 'vaes/tiny')], 'tiny', 'tiny_decoder'],
  ])('compiles a model with the VAE of %j', async (options, from, last) => {
    const { code, stdout, stderr } = await run(join(FIXTURES, 'models/threelevels'), ...options)
    expect(code, stderr).toBe(0)
    const { vae, graphs } = JSON.parse(await readFile(join(stdout.trimEnd(), 'model.json'), 'utf8'))
    expect(vae.from).toBe(from)
    expect(graphs.decoder.at(-1)).toBe(last)
  })

  it('exits 2 with usage for a LoRA that is no safetensors file', async () => {
    const { code, stderr } = await run('demo', '--lora', 'style.pt')
    expect(code).toBe(2)
    expect(stderr).toMatch(/^--lora is style.pt; it must be FILE.safetensors .*\n\nUsage:/)
  })
})
