import { randomInt } from 'node:crypto'
import { type CreateImages, type ImageRequest, MAX_SEED, MAX_SIDE, type Model } from '@sdcpu/contract'
import { ApiError } from './api-error.ts'

/**
 * Fills in what a caller left out, from what the model's worker announced, rather than later by the worker that draws:
 * so the 202 tells what will be drawn, and all images of a request are of one shape.
 * @throws `invalid_request` where the model allows less than the service
 */
export function resolveRequest(body: CreateImages, model: Model): ImageRequest {
  const { nativeSize, defaultSteps, maxSteps, defaultGuidance, defaultSampler } = model
  if (body.steps !== undefined && body.steps > maxSteps)
    throw new ApiError(
      'invalid_request',
      `steps is ${body.steps}; the limit of the model ${model.name} is ${maxSteps}`,
    )
  const side = Math.min(nativeSize, MAX_SIDE)
  const { webhookUrl: _, ...asked } = body // it may carry a secret, and is nobody else's business
  return {
    ...asked,
    model: model.name,
    seed: body.seed ?? randomInt(MAX_SEED + 1),
    size: body.size ?? `${side}x${side}`,
    steps: body.steps ?? defaultSteps,
    guidance: body.guidance ?? defaultGuidance,
    sampler: body.sampler ?? defaultSampler,
  }
}
