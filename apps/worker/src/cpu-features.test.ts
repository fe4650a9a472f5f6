import { expect, it } from 'vitest'
import { readCpu } from './cpu-features.ts'

it('names the features that matter, and no other', () => {
  const cpuinfo =
    'processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_vnni amx_int8 tdx_guest\nbugs\t\t: spectre_v1'
  expect(readCpu(cpuinfo).features).toEqual(['avx2', 'avx512f', 'avx512_vnni', 'amx_int8', 'tdx_guest'])
  expect(readCpu('').features).toEqual([])
})
