import { expect, it } from 'vitest'
import { findPooledPosition } from './encode-prompts.ts'

it('pools at the largest id where the config has the legacy end-of-text id 2', () => {
  expect(findPooledPosition(Int32Array.of(98, 5, 7, 99, 99), 2)).toBe(3)
})

it('pools at the first end-of-text token otherwise', () => {
  expect(findPooledPosition(Int32Array.of(98, 120, 99, 0, 99), 99)).toBe(2)
})

it('pools at the start where the prompt holds no end-of-text token, as argmax does', () => {
  expect(findPooledPosition(Int32Array.of(98, 1, 1), 99)).toBe(0)
})
