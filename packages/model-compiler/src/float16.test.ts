import { expect, it } from 'vitest'
import { toFloat32 } from './float16.ts'

const bytesOf = (...words: number[]) => {
  const array = Uint16Array.from(words)
  return Buffer.from(array.buffer)
}

/** By IEEE 754-2019, section 3.4: 1 bit of sign, 5 of exponent with bias 15, 10 of fraction. */
function widen(word: number): number {
  const sign = word & 0x8000 ? -1 : 1
  const exponent = (word >> 10) & 31
  const fraction = word & 1023
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  if (exponent === 0) return sign * fraction * 2 ** -24
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

it('widens every half to its value, zeros with their sign', () => {
  const words = Array.from({ length: 65536 }, (_, i) => i)
  const ours = toFloat32(bytesOf(...words), 'F16')
  expect(words.filter((word) => !Object.is(ours[word], widen(word)))).toEqual([])
})

it('widens bfloat16 by putting its bits in front', () => {
  expect([...toFloat32(bytesOf(0x3f80, 0xc000, 0x4049), 'BF16')]).toEqual([1, -2, 3.140625])
})

it('takes float32 as it is', () => {
  expect([...toFloat32(Buffer.from(Float32Array.of(1.5, -0.25).buffer), 'F32')]).toEqual([1.5, -0.25])
})
