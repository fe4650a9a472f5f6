import type { ImageInput } from './engine.ts'
import type { Manifest } from './manifest.ts'
import { readsSpacing, SAMPLER_NAMES, type SamplerName, samplerNamed } from './sampler-table.ts'
import { TIMESTEP_SPACINGS, type TimestepSpacing } from './scheduler-config.ts'

/** What all pictures of a batch share. */
export type BatchSettings = {
  width: number
  height: number
  steps: number
  sampler: SamplerName
  guidance: number
  timestepSpacing: TimestepSpacing
}

const NO_GUIDANCE = 1 // at 1 the formula gives the prompt's own prediction; Turbo models are distilled for that

/** Whether there is guidance: above 1, as diffusers has it. */
export const isGuided = (guidance: number): boolean => guidance > NO_GUIDANCE

/**
 * Settles what the inputs leave to the model, and checks that they agree in it.
 * @throws RangeError with the values that are not possible or do not go together
 */
export function settleBatch(manifest: Manifest, inputs: ImageInput[]): BatchSettings {
  const [first, ...others] = inputs.map((input) => settle(manifest, input))
  if (!first) throw new RangeError('a batch has at least one picture; this one has 0')
  for (const other of others)
    if (describe(other) !== describe(first))
      throw new RangeError(
        `a batch draws with one shape, sampler and guidance: ${describe(first)} and ${describe(other)} do not go together`,
      )
  return first
}

/** What of an input has no effect under these settings. */
export function findWarnings(
  { negativePrompt, timestepSpacing }: ImageInput,
  { guidance, sampler }: BatchSettings,
): string[] {
  const warnings: string[] = []
  if (negativePrompt && !isGuided(guidance))
    warnings.push(
      `the negative prompt has no effect at guidance ${guidance}; it takes a guidance above ${NO_GUIDANCE}`,
    )
  if (timestepSpacing && !readsSpacing(sampler))
    warnings.push(
      `timestep spacing ${timestepSpacing} has no effect with ${sampler}; it takes ${SAMPLER_NAMES.filter(readsSpacing).join(', ')}`,
    )
  return warnings
}

function settle(
  { vae, recommended }: Manifest,
  {
    width,
    height,
    steps,
    sampler = recommended.sampler,
    guidance = recommended.guidance,
    timestepSpacing = recommended.timestepSpacing,
  }: ImageInput,
): BatchSettings {
  for (const [name, value] of Object.entries({ width, height }))
    if (!Number.isInteger(value) || value < vae.spatialFactor || value % vae.spatialFactor !== 0)
      throw new RangeError(`${name} is ${value}; it must be a multiple of ${vae.spatialFactor}`)
  if (!Number.isFinite(guidance) || guidance < 0)
    throw new RangeError(`guidance is ${guidance}; it must be a number of 0 or more`)
  const name = samplerNamed(sampler)
  if (!name) throw new RangeError(`sampler is ${sampler}; it must be one of ${SAMPLER_NAMES.join(', ')}`)
  if (!TIMESTEP_SPACINGS.includes(timestepSpacing))
    throw new RangeError(
      `timestep spacing is ${timestepSpacing}; it must be one of ${TIMESTEP_SPACINGS.join(', ')}`,
    )
  return { width, height, steps, sampler: name, guidance, timestepSpacing }
}

const describe = ({ width, height, steps, sampler, guidance, timestepSpacing }: BatchSettings) =>
  `${width}x${height} in ${steps} steps with ${sampler} (${timestepSpacing}) at guidance ${guidance}`
