import { readFileSync } from 'node:fs'

/**
 * What a CPU has for products of 8-bit numbers, the slowest first. `avx2` and `avx512` add pairs of products in 16 bits,
 * which overflow unless weights keep to 7 bits; `vnni` and `amx` add in 32.
 */
export const CPU_CLASSES = ['avx2', 'avx512', 'vnni', 'amx'] as const
export type CpuClass = (typeof CPU_CLASSES)[number]

/** Class of the CPU whose flags /proc/cpuinfo lists; undefined where it has no AVX2 or is no x86-64. */
export function classifyCpu(cpuinfo: string): CpuClass | undefined {
  // Of a machine's cores the least able one counts: the operating system may move a thread there.
  const cores = [...cpuinfo.matchAll(/^flags\s*:(.*)$/gm)].map(
    ([, flags]) => new Set(flags!.trim().split(/\s+/)),
  )
  const all = (...flags: string[]) =>
    cores.length > 0 && cores.every((core) => flags.every((flag) => core.has(flag)))
  if (!all('avx2')) return undefined
  if (all('amx_tile', 'amx_int8')) return 'amx'
  if (all('avx512_vnni') || all('avx_vnni')) return 'vnni'
  return all('avx512f', 'avx512bw', 'avx512dq', 'avx512vl') ? 'avx512' : 'avx2'
}

/** Class of this machine's CPU. */
export function detectCpuClass(): CpuClass | undefined {
  try {
    return classifyCpu(readFileSync('/proc/cpuinfo', 'utf8'))
  } catch {
    return undefined
  }
}

/** Whether products of full 8-bit weights are exact: they are added in 32 bits. */
export const addsIn32Bits = (cpuClass: CpuClass | undefined): boolean =>
  cpuClass === 'vnni' || cpuClass === 'amx'
