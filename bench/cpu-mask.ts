import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { runProcess } from './run-process.ts'

/** Classes of CPUs that a newer one can stand in for. */
export const MASKS = ['avx2', 'avx512', 'vnni'] as const
export type Mask = (typeof MASKS)[number]

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
