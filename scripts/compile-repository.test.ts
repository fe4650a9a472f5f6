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

it('draws with a repository by its commit, without asking the hub again', async () => {
  hub.seen.length = 0
  const { code, stdout } = await run('generate.ts', [
    ...['a red fox', '--model', `owner/name@${commit}`, '--steps', '1', '--seed', '7', '--json'],
  ])
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ seed: 7, size: '64x64' })
  expect(hub.seen).toEqual([])
})
