import { z } from 'zod'
import { TIMESTEP_SPACINGS } from './create-images.ts'
import { ImageFormat } from './image-format.ts'
import { ImageTimings, PromptTokens } from './images-resource.ts'
import { SAMPLER_NAMES } from './samplers.ts'

/** What OpenAI's clients may ask for. */
export const MAX_PREVIEWS = 3

/**
 * Payload of one job: one image. Carries a version so that old and new workers can share a queue: a worker fails one it
 * does not know rather than draw another picture. Version 1 had no fields after `steps`; version 3 is that of images
 * drawn from another, whose bytes lie under `inputImageKey`.
 */
export const ImageJob = z.object({
  version: z.literal([1, 2, 3]),
  id: z.string(),
  index: z.int().min(0),
  prompt: z.string(),
  seed: z.int().min(0),
  width: z.int().min(1),
  height: z.int().min(1),
  steps: z.int().min(1),
  sampler: z.enum(SAMPLER_NAMES).optional(),
  guidance: z.number().min(0).optional(),
  negativePrompt: z.string().optional(),
  emphasis: z.boolean().optional(),
  timestepSpacing: z.enum(TIMESTEP_SPACINGS).optional(),
  /** In version 3 alone, and always there. */
  strength: z.number().optional(),
  /** How often the image is shown while it is drawn; an older worker draws the same image and shows nothing. */
  previews: z.int().min(1).max(MAX_PREVIEWS).optional(),
  /** PNG when absent, as in jobs of an older API. */
  format: ImageFormat.optional(),
  /** Of the HTTP request that asked for it, for logs. */
  requestId: z.string().optional(),
  /** Milliseconds since 1970; not begun after that. */
  expiresAtMs: z.number().optional(),
})
export type ImageJob = z.infer<typeof ImageJob>

/**
 * Progress of a job. `begun` counts how often an engine began to draw it, and outlives a crash: it tells a
 * job that was drawn when its worker died from one that was only held by it.
 */
export const ImageProgress = z.object({
  begun: z.int().min(1),
  step: z.int().min(0),
  /** Id of the worker that draws it. */
  worker: z.string().optional(),
})
export type ImageProgress = z.infer<typeof ImageProgress>

/** What a worker returns for a job whose bytes it has stored. */
export const ImageResult = z.object({
  seed: z.int(),
  width: z.int(),
  height: z.int(),
  steps: z.int(),
  timingsMs: ImageTimings,
  batchSize: z.int(),
  ...PromptTokens.shape,
  warnings: z.array(z.string()).optional(),
})
export type ImageResult = z.infer<typeof ImageResult>
