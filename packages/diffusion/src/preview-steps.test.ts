import { expect, it } from 'vitest'
import { previewSteps } from './preview-steps.ts'

it.each([
  [1, 3, []],
  [2, 0, []],
  [2, 3, [1]],
  [4, 1, [2]],
  [4, 2, [1, 3]],
  [4, 3, [1, 2, 3]],
  [8, 3, [2, 4, 6]],
  [50, 3, [13, 25, 38]],
])('shows a picture of %d steps that is to be shown %d times after steps %j', (steps, count, expected) => {
  expect(previewSteps(steps, count)).toEqual(expected)
})

it('shows no picture twice at one step, before the first or after the last', () => {
  for (let steps = 1; steps <= 50; steps++)
    for (let count = 0; count <= 3; count++) {
      const shown = previewSteps(steps, count)
      expect(new Set(shown).size).toBe(Math.min(count, steps - 1))
      expect(shown.every((step) => step >= 1 && step < steps)).toBe(true)
    }
})
