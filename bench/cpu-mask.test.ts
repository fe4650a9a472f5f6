import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { checkMask, maskEnvironment } from './cpu-mask.ts'
import { runProcess } from './run-process.ts'

const SCRIPT = join(import.meta.dirname, 'fixtures', 'draw-digest.ts')

const folder = await mkdtemp(join(tmpdir(), 'sd-mask-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Digest of a picture whose weights are those for `cpuClass`. */
const draw = (cpuClass: 'avx512' | 'vnni', env: Record<string, string>) =>
  runProcess(process.execPath, [SCRIPT, folder, cpuClass], {
    label: `drawing for ${cpuClass}`,
    env: { ...process.env, ...env },
  })

// Where a C compiler is, and a CPU that adds in 32 bits and can let CPUID trap.
const masked = await maskEnvironment('avx512', folder).catch(() => undefined)
const canMask = masked && /^flags.* cpuid_fault .*avx512_vnni/m.test(readFileSync('/proc/cpuinfo', 'utf8'))

it.runIf(canMask)(
  'has kernels overflow that add pairs in 16 bits, as long as weights are not made for them',
  async () => {
    expect(await draw('vnni', masked!)).not.toBe(await draw('vnni', {}))
    expect(await draw('avx512', masked!)).toBe(await draw('avx512', {}))
  },
  60_000,
)

it('refuses to stand in for a CPU that this one has not the instructions of', () => {
  const cpu = { name: 'A CPU', flags: ['avx', 'avx2', 'avx_vnni'] }
  expect(() => checkMask('avx2', cpu)).not.toThrow()
  for (const mask of ['avx512', 'vnni'] as const)
    expect(() => checkMask(mask, cpu)).toThrow(/wants a CPU with avx512\w+; A CPU has avx avx2 avx_vnni/)
})
