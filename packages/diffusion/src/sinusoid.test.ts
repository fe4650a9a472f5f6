import { expect, it } from 'vitest'
import { embedSinusoid } from './sinusoid.ts'

it('gives sines then cosines, of falling frequency', () => {
  const embedding = embedSinusoid([999], 4, { flipSinToCos: false, freqShift: 0 })
  const expected = [Math.sin(999), Math.sin(9.99), Math.cos(999), Math.cos(9.99)]
  expected.forEach((value, i) => {
    expect(embedding[i]).toBeCloseTo(value, 5)
  })
})

it('gives cosines first when flipped', () => {
  const plain = embedSinusoid([7, 8], 6, { flipSinToCos: false, freqShift: 1 })
  const flipped = embedSinusoid([7, 8], 6, { flipSinToCos: true, freqShift: 1 })
  expect([...flipped]).toEqual([
    ...plain.slice(3, 6),
    ...plain.slice(0, 3),
    ...plain.slice(9, 12),
    ...plain.slice(6, 9),
  ])
})
