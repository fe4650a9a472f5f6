import { readFileSync } from 'node:fs'

export type Cpu = { name: string; flags: string[] }

// The instruction sets that decide which kernels run, weakest first.
const TELLING_FLAGS = [
  'avx',
  'avx2',
  'fma',
  'f16c',
  'avx_vnni',
  'avx512f',
  'avx512_vnni',
  'avx512_bf16',
  'amx_bf16',
  'amx_int8',
]

/** Name of the CPU and which of the instruction sets that matter here it has, from the text of `/proc/cpuinfo`. */
export function parseCpuInfo(text: string): Cpu {
  const field = (name: string) => new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(text)?.[1]?.trim()
  const has = new Set(field('flags')?.split(' '))
  const model = field('cpu family') && `family ${field('cpu family')} model ${field('model')}`
  const name = field('model name') ?? 'unknown CPU'
  return { name: model ? `${name} (${model})` : name, flags: TELLING_FLAGS.filter((flag) => has.has(flag)) }
}

/** This machine's CPU. */
export function readCpu(): Cpu {
  try {
    return parseCpuInfo(readFileSync('/proc/cpuinfo', 'utf8'))
  } catch {
    return { name: 'unknown CPU', flags: [] }
  }
}

/** The CPU in one line, and as what it stands in. */
export const describeCpu = ({ name, flags }: Cpu, mask: string | undefined): string =>
  `${name}, ${flags.join(' ')}${mask ? `, masked to ${mask}` : ''}`

/** True where bfloat16 is computed with, not only stored. */
export const hasBfloat16 = ({ flags }: Cpu) => flags.includes('avx512_bf16') || flags.includes('amx_bf16')
