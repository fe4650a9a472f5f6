import {
  MODEL_ALIVE_SECONDS,
  MODEL_TTL_SECONDS,
  type ModelDescription,
  modelAliveKey,
  modelKey,
  modelNamesKey,
} from '@sdcpu/contract'
import type { ModelInfo } from '@sdcpu/diffusion'
import type { Redis } from 'ioredis'

/** Time between two signs of life: two may get lost before the API calls the model away. */
export const ANNOUNCE_INTERVAL_MS = (MODEL_ALIVE_SECONDS * 1000) / 3

/** Tells the API under which name the model is served, what requests for it are resolved with, and that we live. */
export async function announce(
  redis: Redis,
  model: ModelInfo,
  { name, prefix }: { name: string; prefix: string },
): Promise<void> {
  const description = JSON.stringify(describeModel(model, name))
  const results = await redis
    .multi()
    .set(modelKey(prefix, name), description, 'EX', MODEL_TTL_SECONDS)
    .sadd(modelNamesKey(prefix), name)
    .set(modelAliveKey(prefix, name), '1', 'EX', MODEL_ALIVE_SECONDS)
    .exec()
  for (const [error] of results ?? []) if (error) throw error
}

function describeModel(
  { plan, nativeSize, recommended, drawsFromImage, licence }: ModelInfo,
  name: string,
): ModelDescription {
  const { family, steps, maxSteps, guidance, sampler, timestepSpacing, sizes } = recommended
  return {
    ...{ name, plan, family, nativeSize },
    sizes: sizes.map(({ width, height }) => `${width}x${height}`),
    defaultSteps: steps,
    maxSteps,
    defaultGuidance: guidance,
    defaultSampler: sampler,
    timestepSpacing,
    drawsFromImage,
    ...(licence && { licence }),
  }
}
