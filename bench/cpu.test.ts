import { expect, it } from 'vitest'
import { hasBfloat16, parseCpuInfo } from './cpu.ts'

const info = (flags: string) =>
  `processor\t: 0\nvendor_id\t: X\ncpu family\t: 6\nmodel\t\t: 207\nmodel name\t: A CPU @ 2.0GHz\nflags\t\t: ${flags}\n\nprocessor\t: 1\n`

it('names the CPU and its telling instruction sets, weakest first', () => {
  expect(parseCpuInfo(info('fpu avx512_vnni avx2 sse avx512f'))).toEqual({
    name: 'A CPU @ 2.0GHz (family 6 model 207)',
    flags: ['avx2', 'avx512f', 'avx512_vnni'],
  })
  expect(parseCpuInfo('')).toEqual({ name: 'unknown CPU', flags: [] })
})

it('knows bfloat16 by either instruction set', () => {
  expect(hasBfloat16(parseCpuInfo(info('avx512_bf16')))).toBe(true)
  expect(hasBfloat16(parseCpuInfo(info('amx_bf16')))).toBe(true)
  expect(hasBfloat16(parseCpuInfo(info('avx512f')))).toBe(false)
})
