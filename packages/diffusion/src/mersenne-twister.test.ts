import { expect, it } from 'vitest'
import { createMersenneTwister } from './mersenne-twister.ts'

it('yields the 10000th number the C++ standard states for mt19937 with its default seed', () => {
  const next = createMersenneTwister(5489)
  for (let i = 1; i < 10000; i++) next()
  expect(next()).toBe(4123659995)
})

it('looks at the low 32 bits of a seed only', () => {
  expect(createMersenneTwister(2 ** 40 + 7)()).toBe(createMersenneTwister(7)())
})

it('refuses a seed that is negative or no whole number, naming it', () => {
  expect(() => createMersenneTwister(-1)).toThrow('seed is -1')
  expect(() => createMersenneTwister(1.5)).toThrow('seed is 1.5')
})
