import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'

// What ONNX Runtime picks its kernels by, and whether this is a confidential guest.
const OF_INTEREST = [
  'avx2',
  'avx512f',
  'avx512_vnni',
  'avx_vnni',
  'avx512_bf16',
  'amx_tile',
  'amx_int8',
  'amx_bf16',
  'tdx_guest',
]

/** The CPU's name and those of its features that matter for drawing; none are known outside Linux on x86. */
export function readCpu(cpuinfo = readCpuinfo()): { model: string; features: string[] } {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.split(' '))
  return { model: cpus()[0]?.model ?? 'unknown', features: OF_INTEREST.filter((name) => flags.has(name)) }
}

function readCpuinfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8')
  } catch {
    return ''
  }
}
