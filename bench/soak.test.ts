import { expect, it } from 'vitest'
import { findGrowth } from './soak.ts'

it('does not count the memory that settles in the first pictures', () => {
  const settling = Array.from({ length: 100 }, (_, i) => (i < 8 ? 100 + i * 10 : 180))
  expect(findGrowth(settling)).toBe(0)
})

it('counts what every picture adds, and one outlier does not hide it', () => {
  const leaking = Array.from({ length: 100 }, (_, i) => 1000 + 2 * i)
  leaking[99] = 0
  expect(findGrowth(leaking)).toBe(158)
})

it('finds growth between two pictures', () => {
  expect(findGrowth([5, 8])).toBe(3)
})
