import { randomInt } from 'node:crypto'
import {
  type CreateImages,
  DEFAULT_STRENGTH,
  drawnSteps,
  type ImageRequest,
  MAX_SEED,
  MAX_SIDE,
  type Model,
} from '@sdcpu/contract'
import { ApiError } from './api-error.ts'
import type { InputImage } from './input-image.ts'

/**
 * Fills in what a caller left out, from what the model's worker announced, rather than later by the worker that draws:
 * so the 202 tells what will be drawn, and all images of a request are of one shape.
 * @param input the picture to begin with, if there is one
 * @throws `invalid_request` where the model allows less than the service or draws from no image, or the strength leaves no step to draw
 */
export function resolveRequest(body: CreateImages, model: Model, input?: InputImage): ImageRequest {
  const { nativeSize, defaultSteps, maxSteps, defaultGuidance, defaultSampler } = model
  if (body.steps !== undefined && body.steps > maxSteps)
    throw new ApiError(
      'invalid_request',
      `steps is ${body.steps}; the limit of the model ${model.name} is ${maxSteps}`,
    )
  if (input && model.drawsFromImage === false)
    throw new ApiError('invalid_request', `the model ${model.name} does not draw from an image; leave it out`)
  const side = Math.min(nativeSize, MAX_SIDE)
  const steps = body.steps ?? defaultSteps
  const { webhookUrl: _, image: _image, ...asked } = body // the webhook may carry a secret, and is nobody else's business
  return {
    ...asked,
    model: model.name,
    seed: body.seed ?? randomInt(MAX_SEED + 1),
    size: body.size ?? `${side}x${side}`,
    steps,
    guidance: body.guidance ?? defaultGuidance,
    sampler: body.sampler ?? defaultSampler,
    ...(input && describeInput(input, body, steps)),
  }
}

function describeInput(
  { bytes, width, height }: InputImage,
  { strength = DEFAULT_STRENGTH }: Pick<CreateImages, 'strength'>,
  steps: number,
): Pick<ImageRequest, 'image' | 'strength'> {
  if (drawnSteps({ steps, strength }) < 1)
    throw new ApiError(
      'invalid_request',
      `strength ${strength} x ${steps} steps is ${strength * steps}; it must be 1 or more, or nothing is drawn`,
    )
  return { strength, image: { bytes: bytes.length, width, height } }
}
