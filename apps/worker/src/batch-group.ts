import type { ImageJob } from '@sdcpu/contract'

/**
 * What images of one batch have in common: all that the engine runs once for all of them. With guidance an image takes
 * two rows of a run, so guided ones are never mixed with others. Prompts, negative prompts and seeds are each image's own.
 * Those that are shown while they are drawn are, as often, in batches of their own: others do not wait for that.
 */
export function batchGroup(image: ImageJob): string {
  const { width, height, steps, sampler, guidance, timestepSpacing, strength, previews } = image
  const settings = [`${width}x${height}`, steps, sampler, guidance, timestepSpacing].map(
    (part) => part ?? 'own',
  )
  if (strength !== undefined) settings.push(`from an image at ${strength}`)
  if (previews !== undefined) settings.push(`shown ${previews} times`)
  return settings.join(' ')
}
