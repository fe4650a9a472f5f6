import type { ImageJob } from '@sdcpu/contract'

/**
 * What images of one batch have in common: all that the engine runs once for all of them. With guidance an image takes
 * two rows of a run, so guided ones are never mixed with others. Prompts, negative prompts and seeds are each image's own.
 */
export function batchGroup(image: ImageJob): string {
  const { width, height, steps, sampler, guidance, timestepSpacing } = image
  return [`${width}x${height}`, steps, sampler, guidance, timestepSpacing]
    .map((part) => part ?? 'own')
    .join(' ')
}
