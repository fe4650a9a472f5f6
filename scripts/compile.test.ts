import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeSingleFile } from '@sdcpu/model-compiler/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runScript } from './run-script.ts'

const LORA = join(
  import.meta.dirname,
  '../packages/model-compiler/src/fixtures/loras/kohya-original.safetensors',
)

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

  it('exits 2 with usage for a LoRA that is no safetensors file', async () => {
    const { code, stderr } = await run('demo', '--lora', 'style.pt')
    expect(code).toBe(2)
    expect(stderr).toMatch(/^--lora is style.pt; it must be FILE.safetensors .*\n\nUsage:/)
  })
})
