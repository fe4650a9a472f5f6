import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cpu } from './cpu.ts'
import { runProcess } from './run-process.ts'

/** Classes of CPUs that a newer one can stand in for. */
export const MASKS = ['avx2', 'avx512', 'vnni'] as const
export type Mask = (typeof MASKS)[number]

const NEEDED_FLAG: Record<Mask, string> = { avx2: 'avx2', avx512: 'avx512f', vnni: 'avx512_vnni' }

/** A mask hides what is newer and adds nothing. @throws Error where the CPU has not what it names itself */
export function checkMask(mask: Mask, { name, flags }: Cpu): void {
  const needed = NEEDED_FLAG[mask]
  if (!flags.includes(needed))
    throw new Error(`--mask ${mask} wants a CPU with ${needed}; ${name} has ${flags.join(' ')}`)
}

/**
 * Environment in which a program is told of no newer instructions than `mask` says: this machine then computes with the
 * kernels of an older CPU, at its own clock and caches. Linux on x86-64 with a C compiler, and a CPU that can let CPUID trap.
 * @param folder where the library that hides them is made
 */
export async function maskEnvironment(mask: Mask, folder: string): Promise<Record<string, string>> {
  await mkdir(folder, { recursive: true })
  const library = join(folder, 'cpu-mask.so')
  const source = join(import.meta.dirname, 'cpu-mask.c')
  await runProcess('cc', ['-O2', '-Wall', '-shared', '-fPIC', '-o', library, source], {
    label: 'compiling cpu-mask.c',
  })
  return { LD_PRELOAD: library, CPU_MASK: mask }
}
