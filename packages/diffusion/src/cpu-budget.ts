import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, posix } from 'node:path'

/** What this process may compute with, as the kernel tells it. */
export type CpuBudget = {
  /** Threads to compute with: one a physical core, as many as the quota pays for in full. */
  threads: number
  /** Logical CPUs that this process may run on. */
  logicalCpus: number
  /** Physical cores among them. */
  physicalCores: number
  /** CPUs' worth of time that the control groups grant; absent without a limit. */
  quotaCpus?: number
}

/**
 * Reads how many threads pay: two threads of one core share the units that multiply, and threads beyond a quota are
 * stopped in turn while the others wait for them. Both control group versions count, and every level above this process.
 * `root` is where `/proc` and `/sys` are. Without them (no Linux) Node's own count stands for all.
 */
export function readCpuBudget(root = '/'): CpuBudget {
  const read = (path: string) => readText(join(root, path))
  const allowed = parseCpuList(/^Cpus_allowed_list:\s*(\S+)/m.exec(read('proc/self/status') ?? '')?.[1] ?? '')
  const fallback = availableParallelism()
  const logicalCpus = allowed.length || fallback
  const physicalCores = allowed.length > 0 ? countCores(allowed, read) : fallback
  const quotaCpus = readQuota(read)
  const paidInFull = Math.max(1, Math.floor(quotaCpus ?? Number.POSITIVE_INFINITY))
  return {
    threads: Math.min(physicalCores, paidInFull),
    logicalCpus,
    physicalCores,
    ...(quotaCpus !== undefined && { quotaCpus }),
  }
}

type Read = (path: string) => string | undefined

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // such files come and go with kernels and sandboxes
  }
}

/** `0-3,8` → 0, 1, 2, 3, 8. */
function parseCpuList(list: string): number[] {
  return list.split(',').flatMap((range) => {
    if (!/^\d+(-\d+)?$/.test(range)) return []
    const [first, last = first] = range.split('-').map(Number) as [number, number?]
    return Array.from({ length: last! - first + 1 }, (_, i) => first + i)
  })
}

/** CPUs that name the same siblings are one core. Each whose topology is hidden counts as a core. */
function countCores(cpus: number[], read: Read): number {
  const cores = cpus.map((cpu) => {
    const topology = `sys/devices/system/cpu/cpu${cpu}/topology`
    // The older name of the same list; Linux before 5.5 has no other.
    const siblings = read(`${topology}/core_cpus_list`) ?? read(`${topology}/thread_siblings_list`)
    return siblings?.trim() || `cpu ${cpu}`
  })
  return new Set(cores).size
}

/** The smallest quota from this process's group up to the root of what is mounted. */
function readQuota(read: Read): number | undefined {
  const quotas = findGroups(read).flatMap(({ version, mountPoint, group }) => {
    const levels = group.split('/').filter(Boolean)
    return [...levels.keys(), levels.length].map((depth) => {
      const folder = posix.join(mountPoint, ...levels.slice(0, depth)).slice(1)
      return version === 2 ? readQuotaV2(folder, read) : readQuotaV1(folder, read)
    })
  })
  const limits = quotas.filter((quota) => quota !== undefined)
  return limits.length > 0 ? Math.min(...limits) : undefined
}

function readQuotaV2(folder: string, read: Read): number | undefined {
  const [quota, period] = (read(`${folder}/cpu.max`) ?? '').split(/\s+/).map(Number) // "max" becomes NaN
  return quota! > 0 && period! > 0 ? quota! / period! : undefined
}

function readQuotaV1(folder: string, read: Read): number | undefined {
  const quota = Number(read(`${folder}/cpu.cfs_quota_us`)) // -1 without a limit
  const period = Number(read(`${folder}/cpu.cfs_period_us`))
  return quota > 0 && period > 0 ? quota / period : undefined
}

type MountedGroup = { version: 1 | 2; mountPoint: string; group: string }

/**
 * Where this process's groups lie in the mounts. A container without a group namespace sees its group's path of the host,
 * and a mount that begins there.
 */
function findGroups(read: Read): MountedGroup[] {
  const groups = (read('proc/self/cgroup') ?? '').split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    return path === undefined ? [] : [{ controllers: controllers!.split(','), path }]
  })
  return (read('proc/self/mountinfo') ?? '').split('\n').flatMap((line): MountedGroup[] => {
    const [mount, filesystem] = line.split(' - ')
    const [, , , mountRoot, mountPoint] = mount!.split(' ')
    const [type, , options] = filesystem?.split(' ') ?? []
    if (type !== 'cgroup2' && !(type === 'cgroup' && options!.split(',').includes('cpu'))) return []
    const controller = type === 'cgroup2' ? '' : 'cpu'
    const path = groups.find(({ controllers }) => controllers.includes(controller))?.path
    if (path === undefined) return []
    const below = mountRoot === '/' ? path : path === mountRoot ? '/' : path.replace(`${mountRoot}/`, '/')
    return [{ version: type === 'cgroup2' ? 2 : 1, mountPoint: mountPoint!, group: below }]
  })
}

/** The threads to compute with, and in words where their number comes from; what a person set goes before all. */
export function chooseThreads(set?: number, root = '/'): { threads: number; reason: string } {
  if (set !== undefined) return { threads: set, reason: `${count(set)}, as set` }
  const budget = readCpuBudget(root)
  return { threads: budget.threads, reason: describeCpuBudget(budget) }
}

function describeCpuBudget({ threads, logicalCpus, physicalCores, quotaCpus }: CpuBudget): string {
  const quota = quotaCpus === undefined ? 'no quota' : `a quota of ${Number(quotaCpus.toFixed(2))} CPUs`
  return `${count(threads)}: ${physicalCores} physical cores (${logicalCpus} logical CPUs), ${quota}`
}

const count = (threads: number) => (threads === 1 ? '1 thread' : `${threads} threads`)
