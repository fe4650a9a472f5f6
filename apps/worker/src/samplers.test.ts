import { SAMPLERS, TIMESTEP_SPACINGS } from '@sdcpu/contract'
import * as engine from '@sdcpu/diffusion'
import { expect, it } from 'vitest'

it('has in the contract the samplers that the engine has, by the same names and spellings', () => {
  const ours = engine.SAMPLER_NAMES.map((name) => [name, engine.samplerAliases(name)])
  expect(Object.entries(SAMPLERS)).toEqual(ours)
})

it('has in the contract the timestep spacings that the engine has', () => {
  expect(TIMESTEP_SPACINGS).toEqual(engine.TIMESTEP_SPACINGS)
})
