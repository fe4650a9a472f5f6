import { z } from 'zod'
import { TIMESTEP_SPACINGS } from './create-images.ts'
import { SAMPLER_NAMES } from './samplers.ts'

/** What a worker announces of the model it serves, and requests are resolved with. */
export const ModelDescription = z.object({
  name: z.string(),
  plan: z.string(),
  /** How it was distilled, as far as its files tell. */
  family: z.string(),
  /** Pixels a side it was trained for; what is drawn where no size is asked for. */
  nativeSize: z.int(),
  /** Sizes it draws well, the native one first. */
  sizes: z.array(z.string()),
  defaultSteps: z.int(),
  /** Requests with more steps are refused. */
  maxSteps: z.int(),
  defaultGuidance: z.number(),
  defaultSampler: z.enum(SAMPLER_NAMES),
  timestepSpacing: z.enum(TIMESTEP_SPACINGS),
  /** Whether it also draws from a picture; not told by older workers. */
  drawsFromImage: z.boolean().optional().describe('Whether requests may have an `image` to begin with.'),
  /** Absent where the model's source names none. */
  licence: z
    .object({ id: z.string(), link: z.string().optional(), notice: z.string().optional() })
    .optional(),
})
export type ModelDescription = z.infer<typeof ModelDescription>

/** One of the models there are. */
export const Model = ModelDescription.extend({
  /** Whether it draws requests that name no model. */
  isDefault: z.boolean(),
  /** `ready` while a worker serves it; otherwise requests wait until one does. */
  status: z.enum(['ready', 'away']),
}).meta({ id: 'Model' })
export type Model = z.infer<typeof Model>

/** What `GET /api/v1/models` answers. */
export const ModelsList = z.object({ models: z.array(Model) }).meta({ id: 'ModelsList' })
export type ModelsList = z.infer<typeof ModelsList>
