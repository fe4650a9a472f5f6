import * as contract from '@sdcpu/contract'
import { expect, it } from 'vitest'
import { DEFAULT_STRENGTH, drawnSteps, effectiveStrength, leastStrength, STRENGTH_STEP } from './strength.ts'

const everySteps = Array.from({ length: contract.MAX_STEPS }, (_, i) => i + 1)

it('is the strength of the API where none is chosen', () => {
  expect(DEFAULT_STRENGTH).toBe(contract.DEFAULT_STRENGTH)
  expect(effectiveStrength(undefined, 4)).toBe(DEFAULT_STRENGTH)
  expect(effectiveStrength(0.8, 4)).toBe(0.8)
})

it.each(everySteps)('leaves a step to draw of %i, and could be no lower on the scale', (steps) => {
  const least = leastStrength(steps)
  expect(contract.drawnSteps({ steps, strength: least })).toBeGreaterThanOrEqual(1)
  expect(contract.drawnSteps({ steps, strength: least - STRENGTH_STEP })).toBe(0)
  expect(contract.Strength.safeParse(least).success).toBe(true)
  expect(effectiveStrength(0.01, steps)).toBe(least)
  expect(effectiveStrength(undefined, steps)).toBeGreaterThanOrEqual(least)
})

it('counts the steps that are drawn as the API does', () => {
  for (const steps of everySteps)
    for (const strength of [0.05, 0.3, 0.35, 0.5, 0.7, 1])
      expect(drawnSteps(steps, strength)).toBe(contract.drawnSteps({ steps, strength }))
})
