import { describe, expect, it } from 'vitest'
import { addsIn32Bits, classifyCpu } from './cpu-class.ts'

const cpuinfo = (...cores: string[]) =>
  cores
    .map(
      (flags, i) =>
        `processor\t: ${i}\nmodel name\t: Some CPU\nflags\t\t: fpu sse2 ${flags}\nbugs\t\t: spectre_v1\n`,
    )
    .join('\n')

const AVX512 = 'avx2 avx512f avx512dq avx512cd avx512bw avx512vl'

describe('classifyCpu', () => {
  it.each([
    ['avx2', 'avx avx2 fma'],
    ['avx512', AVX512],
    ['vnni', `${AVX512} avx512_vnni`],
    ['vnni', 'avx2 avx_vnni'],
    ['amx', `${AVX512} avx512_vnni amx_bf16 amx_tile amx_int8`],
    // Without the integer products AMX is of no use here.
    ['vnni', `${AVX512} avx512_vnni amx_bf16 amx_tile`],
    [undefined, 'avx'],
    // Names that only begin like it.
    [undefined, 'avx2_like'],
  ])('is %s for "%s"', (expected, flags) => {
    expect(classifyCpu(cpuinfo(flags, flags))).toBe(expected)
  })

  it('goes by the least able core', () => {
    expect(classifyCpu(cpuinfo(`${AVX512} avx512_vnni`, 'avx2'))).toBe('avx2')
  })

  it('knows no class without x86 flags', () => {
    expect(classifyCpu('processor\t: 0\nFeatures\t: fp asimd\n')).toBeUndefined()
  })
})

it('counts on 32-bit sums only with VNNI or AMX', () => {
  expect((['avx2', 'avx512', 'vnni', 'amx', undefined] as const).map(addsIn32Bits)).toEqual([
    false,
    false,
    true,
    true,
    false,
  ])
})
