import { expect, it } from 'vitest'
import { toFloat32 } from './float16.ts'

const bytesOf = (...words: number[]) => {
  const array = Uint16Array.from(words)
  return Buffer.from(array.buffer)
}

it('widens every finite half to the value Float16Array gives it', () => {
  const words = Array.from({ length: 65536 }, (_, i) => i)
  const ours = toFloat32(bytesOf(...words), 'F16')
  const theirs = new Float32Array(new Float16Array(Uint16Array.from(words).buffer))
  expect(
    ours.every(
      (value, i) => Object.is(value, theirs[i]) || (Number.isNaN(value) && Number.isNaN(theirs[i]!)),
    ),
  ).toBe(true)
})

it('widens bfloat16 by putting its bits in front', () => {
  expect([...toFloat32(bytesOf(0x3f80, 0xc000, 0x4049), 'BF16')]).toEqual([1, -2, 3.140625])
})

it('takes float32 as it is', () => {
  expect([...toFloat32(Buffer.from(Float32Array.of(1.5, -0.25).buffer), 'F32')]).toEqual([1.5, -0.25])
})
