import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const MODEL = join(import.meta.dirname, '../packages/model-compiler/src/fixtures/models/twolevels')
const SCRIPT = join(import.meta.dirname, '../scripts/bench.ts')

// Each measurement is a process, and a start takes seconds where the cores have other work.
const TIMEOUT_MS = 240_000

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-bench-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

type Outcome = { code: number; stdout: string; stderr: string }

function run(...args: string[]): Promise<Outcome> {
  const env = { ...process.env, DATA_DIR: join(folder, 'data') }
  const all = [SCRIPT, '--model', MODEL, '--size', '64x64', '--threads', '1', '--repeats', '1', ...args]
  return new Promise((resolve) => {
    execFile(process.execPath, all, { env, cwd: folder }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })
}

const readJson = async (name: string) => JSON.parse(await readFile(join(folder, name), 'utf8'))

describe('npm run bench', { timeout: TIMEOUT_MS }, () => {
  it('measures each stage and batch in a process of its own, as a table and as JSON', async () => {
    const { code, stdout, stderr } = await run(
      ...['--batches', '1,2', '--steps', '1', '--rounds', '2', '--out', 'all.json'],
    )
    expect(code, stderr).toBe(0)
    expect(stdout.split('\n')[0]).toMatch(
      /^work +best +an image +of as many single +GMAC +GMAC\/s +peak memory +load$/,
    )
    const { cpu, measurements } = await readJson('all.json')
    expect(cpu.name).not.toBe('')
    const gmac = Object.fromEntries(
      measurements.map((m: { stage: string; batch: number; gmac: number }) => [
        `${m.stage}-${m.batch}`,
        m.gmac,
      ]),
    )
    for (const stage of ['text', 'unet', 'decode', 'picture'])
      expect(gmac[`${stage}-2`] / gmac[`${stage}-1`]).toBeCloseTo(2, 5)
    expect(gmac['text-1'] + gmac['unet-1'] + gmac['decode-1']).toBeCloseTo(gmac['picture-1'], 10)
    for (const { batch, seconds, besideSingle, peakRssBytes, threads } of measurements) {
      expect(seconds).toHaveLength(1)
      expect(besideSingle?.single.length).toBe(batch === 1 ? undefined : 2)
      expect(besideSingle?.batch.length).toBe(batch === 1 ? undefined : 2)
      expect(peakRssBytes).toBeGreaterThan(50e6)
      expect(threads).toBe(1)
    }
  })

  it('prints the share that one thread has to do alone', async () => {
    const { code, stdout, stderr } = await run(
      '--profile',
      '--stages',
      'unet,decode',
      '--out',
      'profile.json',
    )
    expect(code, stderr).toBe(0)
    expect(stdout.match(/Kernels that run on one thread whatever the pool: \d+\.\d %/g)).toHaveLength(2)
    const { profiles } = await readJson('profile.json')
    const [unet] = profiles
    expect(unet.summary.kernels.map(({ op }: { op: string }) => op)).toContain('Conv')
    expect(unet.summary.oneThreadShare).toBeGreaterThan(0) // its skip connections are joined by Concat
    expect(unet.summary.oneThreadShare + unet.summary.executorShare).toBeLessThan(1)
  })

  it('says after a soak how much memory grew', async () => {
    const { code, stdout, stderr } = await run('--soak', '4')
    expect(code, stderr).toBe(0)
    expect(stdout).toMatch(/^Memory grew by -?\d+ MB over 4 pictures; the limit is 100 MB$/m)
  })

  it('takes up a comparison where it was cut, and writes the table', async () => {
    await writeFile(
      join(folder, 'page.md'),
      '# Page\n<!-- peers: written by npm run bench -- --peers -->\n<!-- end of peers -->\n',
    )
    const args = ['--peers', '--engines', 'ours', '--stages', 'unet,decode', '--report', 'page.md']
    const first = await run(...args)
    expect(first.code, first.stderr).toBe(0)
    expect(first.stderr).toContain('Measuring unet-b1 with ours-fp32')
    const page = await readFile(join(folder, 'page.md'), 'utf8')
    expect(page).toMatch(/\| unet-b1 \| [\d.]+ s, \d\.\d\d GB \|\n\| decode-b1 \| /)
    const second = await run(...args)
    expect(second.stderr).not.toContain('Measuring')
    const third = await run(...args, '--fresh', '--stages', 'decode')
    expect(third.stderr.match(/Measuring/g)).toHaveLength(1)
  })

  it('finds before it measures that a page has no place for the table', async () => {
    await writeFile(join(folder, 'plain.md'), '# Page\n')
    const args = ['--peers', '--engines', 'ours', '--fresh', '--stages', 'unet', '--report']
    const missing = await run(...args, 'missing.md')
    expect(missing).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^there is no page .*missing\.md/),
    })
    const plain = await run(...args, 'plain.md')
    expect(plain).toMatchObject({ code: 1, stderr: expect.stringMatching(/^the report needs two lines/) })
  })

  it('exits 2 with usage for bad arguments, and 1 where there is nothing to compare', async () => {
    expect(await run('--batches', 'two')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^--batches is two; .*\n\nUsage:/),
    })
    await mkdir(join(folder, 'empty'))
    const { code, stderr } = await run('--model', join(folder, 'empty'))
    expect(code).toBe(1)
    expect(stderr).toMatch(/empty/)
  })
})
