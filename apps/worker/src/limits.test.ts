import * as contract from '@sdcpu/contract'
import * as engine from '@sdcpu/diffusion'
import { expect, it } from 'vitest'

it('admits images of as many pixels as the engine reads', () => {
  expect(contract.MAX_INPUT_PIXELS).toBe(engine.MAX_PICTURE_PIXELS)
})

it('takes the strength that the engine takes, and counts the steps as it does', () => {
  expect(contract.DEFAULT_STRENGTH).toBe(engine.DEFAULT_STRENGTH)
  for (const strength of [0.1, 0.3, 0.5, 0.7, 1])
    for (let steps = 1; steps <= 50; steps++)
      expect(contract.drawnSteps({ steps, strength })).toBe(engine.drawnSteps(steps, strength))
})
