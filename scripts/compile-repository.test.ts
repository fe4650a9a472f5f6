import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type HubDouble, readFiles, startHubDouble } from '@sdcpu/model-compiler/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { runScript } from './run-script.ts'

const MODEL = join(import.meta.dirname, '../packages/model-compiler/src/fixtures/models/twolevels')

let folder: string
let hub: HubDouble
let commit: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-compile-'))
  hub = await startHubDouble({ token: 'hf_secret' })
  commit = hub.commit(await readFiles(MODEL))
})
afterAll(async () => {
  await hub.close()
  await rm(folder, { recursive: true, force: true })
})

const run = (script: string, args: string[], env: Record<string, string> = {}) =>
  runScript(script, args, { cwd: folder, env: { HF_ENDPOINT: hub.url, ...env } })

it('says in one sentence why a repository cannot be had', async () => {
  const { code, stderr } = await run('compile.ts', ['owner/name'])
  expect(code).toBe(1)
  expect(stderr).toMatch(
    /^there is no folder owner\/name, and no public repository of that name: .*needs HF_TOKEN\n$/,
  )
})

it('downloads and compiles a repository, with progress', async () => {
  const { code, stdout, stderr } = await run('compile.ts', ['owner/name@main'], { HF_TOKEN: 'hf_secret' })
  expect(stderr).toMatch(/^Downloading owner\/name: .* of 1.61 MB.* \(\d+ %\)$/m)
  expect(stderr).toMatch(/^Downloaded owner\/name at commit [0-9a-f]{40}: 21 files, 1.61 MB$/m)
  expect(stderr).toContain('Compiling unet_mid')
  expect(stderr).not.toContain('hf_secret')
  expect(code).toBe(0)
  const manifest = JSON.parse(await readFile(join(stdout.trim(), 'model.json'), 'utf8'))
  expect(manifest).toMatchObject({
    name: 'owner/name',
    source: { repository: 'owner/name', revision: commit },
  })
})

it('downloads the tiny decoder that everybody means, its config and weights alone', async () => {
  const tiny = await readFiles(join(MODEL, '../../vaes/tiny'))
  const decoders = await startHubDouble({ id: 'madebyollin/taesdxl' })
  const revision = decoders.commit(
    new Map([...tiny, ['taesdxl_decoder.safetensors', Buffer.from('x')], ['README.md', Buffer.from('x')]]),
  )
  const { code, stdout, stderr } = await run('compile.ts', [MODEL, '--decoder', 'tiny'], {
    HF_ENDPOINT: decoders.url,
  })
  await decoders.close()
  expect(code, stderr).toBe(0)
  expect(stderr).toContain(`Downloaded madebyollin/taesdxl at commit ${revision}: 2 files`)
  const { vae } = JSON.parse(await readFile(join(stdout.trim(), 'model.json'), 'utf8'))
  expect(vae).toEqual({ scalingFactor: 1, spatialFactor: 8, from: `madebyollin/taesdxl@${revision}` })
})

it("downloads a model's VAE alone, beside the model", async () => {
  const { code, stdout, stderr } = await run(
    'compile.ts',
    [join(MODEL, '../threelevels'), '--vae', 'owner/name'],
    { HF_TOKEN: 'hf_secret' },
  )
  expect(code, stderr).toBe(0)
  expect(stderr).toContain(`Downloaded owner/name at commit ${commit}: 2 files`)
  const { vae } = JSON.parse(await readFile(join(stdout.trim(), 'model.json'), 'utf8'))
  expect(vae).toMatchObject({ spatialFactor: 4, from: `owner/name@${commit}` })
})

it('says so where a repository holds no VAE', async () => {
  const others = await startHubDouble({ hasApi: false })
  others.commit(new Map([['config.json', Buffer.from('{}')]]))
  const { code, stderr } = await run('compile.ts', [MODEL, '--vae', 'owner/name@main'], {
    HF_ENDPOINT: others.url,
    DATA_DIR: join(folder, 'others'),
  })
  await others.close()
  expect(code).toBe(1)
  expect(stderr).toContain('owner/name is not a VAE in diffusers layout, nor a model with one: it must hold')
})

it('draws with a repository by its commit, without asking the hub again', async () => {
  hub.seen.length = 0
  const { code, stdout } = await run('generate.ts', [
    ...['a red fox', '--model', `owner/name@${commit}`, '--steps', '1', '--seed', '7', '--json'],
  ])
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ seed: 7, size: '64x64' })
  expect(hub.seen).toEqual([])
})
