import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { chooseThreads, readCpuBudget } from './cpu-budget.ts'

const roots: string[] = []
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true })
})

/** A folder with these files in it, in the place of `/`. */
function fakeRoot(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'sd-cpu-'))
  roots.push(root)
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

const allowed = (list: string) => ({ 'proc/self/status': `Name:\tnode\nCpus_allowed_list:\t${list}\n` })

/** Topology of `cores` cores with two threads each, numbered as Linux does: 0 and cores are one core. */
const hyperThreads = (cores: number, file = 'core_cpus_list') =>
  Object.fromEntries(
    Array.from({ length: 2 * cores }, (_, cpu) => [
      `sys/devices/system/cpu/cpu${cpu}/topology/${file}`,
      `${cpu % cores},${(cpu % cores) + cores}\n`,
    ]),
  )

const V2_MOUNT = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n'
const v1Mount = (root: string) =>
  `33 25 0:28 ${root} /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:11 - cgroup cgroup rw,cpu,cpuacct\n` +
  `34 25 0:29 ${root} /sys/fs/cgroup/memory ro,nosuid master:12 - cgroup cgroup rw,memory\n`

const v2 = (path: string, quotas: Record<string, string>) => ({
  'proc/self/cgroup': `0::${path}\n`,
  'proc/self/mountinfo': V2_MOUNT,
  ...Object.fromEntries(
    Object.entries(quotas).map(([group, quota]) => [`sys/fs/cgroup${group}/cpu.max`, quota]),
  ),
})

describe('readCpuBudget', () => {
  it('counts a core once, whose two threads share its units', () => {
    const root = fakeRoot({ ...allowed('0-15'), ...hyperThreads(8) })
    expect(readCpuBudget(root)).toEqual({ threads: 8, logicalCpus: 16, physicalCores: 8 })
  })

  it('reads the topology of kernels that have only the older name', () => {
    const root = fakeRoot({ ...allowed('0-7'), ...hyperThreads(4, 'thread_siblings_list') })
    expect(readCpuBudget(root).threads).toBe(4)
  })

  it('counts only the cores of the allowed set', () => {
    const files = hyperThreads(8)
    // 0 and 8 are one core; 3 is another, its sibling 11 not ours.
    expect(readCpuBudget(fakeRoot({ ...allowed('0,8,3'), ...files }))).toEqual({
      threads: 2,
      logicalCpus: 3,
      physicalCores: 2,
    })
  })

  it('takes each CPU for a core where the topology is hidden', () => {
    expect(readCpuBudget(fakeRoot(allowed('0-2,5'))).physicalCores).toBe(4)
  })

  it('keeps to a quota of control groups version 2, in whole threads', () => {
    const root = fakeRoot({
      ...allowed('0-15'),
      ...hyperThreads(8),
      ...v2('/pod', { '/pod': '350000 100000\n' }),
    })
    expect(readCpuBudget(root)).toEqual({ threads: 3, logicalCpus: 16, physicalCores: 8, quotaCpus: 3.5 })
  })

  it('finds the smallest quota on the way up', () => {
    const quotas = {
      '': 'max 100000\n',
      '/kubepods': '400000 100000\n',
      '/kubepods/pod': '200000 100000\n',
      '/kubepods/pod/container': 'max 100000\n',
    }
    const root = fakeRoot({ ...allowed('0-7'), ...v2('/kubepods/pod/container', quotas) })
    expect(readCpuBudget(root)).toMatchObject({ threads: 2, quotaCpus: 2 })
  })

  it('has one thread where the quota is less than a CPU', () => {
    const root = fakeRoot({ ...allowed('0-7'), ...v2('/', { '': '50000 100000\n' }) })
    expect(readCpuBudget(root)).toMatchObject({ threads: 1, quotaCpus: 0.5 })
  })

  it('does not raise the threads to a quota above the cores', () => {
    const root = fakeRoot({ ...allowed('0-1'), ...v2('/', { '': '800000 100000\n' }) })
    expect(readCpuBudget(root).threads).toBe(2)
  })

  it.each([
    ['seen from the host', '/', '/docker/abc', 'sys/fs/cgroup/cpu,cpuacct/docker/abc'],
    ['mounted from its own group on', '/docker/abc', '/docker/abc', 'sys/fs/cgroup/cpu,cpuacct'],
    ['below its mount', '/docker', '/docker/abc', 'sys/fs/cgroup/cpu,cpuacct/abc'],
  ])('keeps to a quota of control groups version 1, %s', (_what, mountRoot, path, folder) => {
    const root = fakeRoot({
      ...allowed('0-7'),
      'proc/self/cgroup': `11:memory:/elsewhere\n4:cpu,cpuacct:${path}\n0::/\n`,
      'proc/self/mountinfo': v1Mount(mountRoot),
      [`${folder}/cpu.cfs_quota_us`]: '300000\n',
      [`${folder}/cpu.cfs_period_us`]: '100000\n',
    })
    expect(readCpuBudget(root)).toMatchObject({ threads: 3, quotaCpus: 3 })
  })

  it('knows that -1 of version 1 is no limit', () => {
    const root = fakeRoot({
      ...allowed('0-7'),
      'proc/self/cgroup': '4:cpu,cpuacct:/\n',
      'proc/self/mountinfo': v1Mount('/'),
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '-1\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
    })
    expect(readCpuBudget(root)).toEqual({ threads: 8, logicalCpus: 8, physicalCores: 8 })
  })

  it("falls back to Node's count where there is no such file system", () => {
    expect(readCpuBudget(fakeRoot({})).threads).toBe(availableParallelism())
  })

  it('gives this machine at least one thread and no more than it has', () => {
    const { threads } = readCpuBudget()
    expect(threads).toBeGreaterThanOrEqual(1)
    expect(threads).toBeLessThanOrEqual(availableParallelism())
  })
})

describe('chooseThreads', () => {
  const files = { ...allowed('0-15'), ...hyperThreads(8) }

  it('says where the number comes from', () => {
    const root = fakeRoot({ ...files, ...v2('/', { '': '350000 100000\n' }) })
    expect(chooseThreads(undefined, root)).toEqual({
      threads: 3,
      reason: '3 threads: 8 physical cores (16 logical CPUs), a quota of 3.5 CPUs',
    })
    expect(chooseThreads(undefined, fakeRoot(files)).reason).toMatch(/^8 threads: .*, no quota$/)
  })

  it('takes what is set, whatever the machine has', () => {
    expect(chooseThreads(12, fakeRoot(files))).toEqual({ threads: 12, reason: '12 threads, as set' })
  })
})
