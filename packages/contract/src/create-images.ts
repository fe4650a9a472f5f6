import { z } from 'zod'
import { IMAGE_FORMATS } from './image-format.ts'
import { SAMPLER_NAMES, type SamplerName, samplerNamed } from './samplers.ts'

export const MAX_PROMPT_CHARACTERS = 2000 // some 450 tokens of English: six chunks, the longest that people share
export const MAX_IMAGES = 8 // two batches of the default size; more belongs in more requests
export const MAX_SEED = 2 ** 32 - 1 // torch's CPU generator looks at no more than 32 bits
export const SIDE_MULTIPLE = 8 // one latent decodes to 8 x 8 pixels
export const MIN_SIDE = 64 // below 8 x 8 latents the UNet's deepest level has nothing left to see
export const MAX_SIDE = 1024 // SDXL's own size; time and memory grow with the square of it
export const MAX_STEPS = 50 // of any model, and as many as LCM and TCD have noise levels for; most set a limit of their own
export const MAX_GUIDANCE = 30 // as far as other tools go; pictures break long before
export const MAX_MODEL_CHARACTERS = 200 // a hub's names have 96 at most
export const TIMESTEP_SPACINGS = ['linspace', 'leading', 'trailing'] as const
export const MAX_EXPIRES_IN_SECONDS = 86_400 // no request is known for longer
const SHOWN_CHARACTERS = 40 // of a value in a message: enough to recognise it

const promptText = (name: string) =>
  z
    .string({ error: (issue) => `${name} is ${shown(issue.input)}; it must be a string` })
    .trim()
    .refine((text) => charactersIn(text) <= MAX_PROMPT_CHARACTERS, {
      error: (issue) =>
        `${name} is ${charactersIn(String(issue.input))} characters; the limit is ${MAX_PROMPT_CHARACTERS}`,
    })

const prompt = promptText('prompt').min(1, { error: 'prompt is empty; say what to draw' })

const guidance = z
  .number({ error: (issue) => `guidance is ${shown(issue.input)}; it must be a number` })
  .min(0, { error: (issue) => `guidance is ${issue.input}; the least is 0` })
  .max(MAX_GUIDANCE, { error: (issue) => `guidance is ${issue.input}; the limit is ${MAX_GUIDANCE}` })

const sampler = z
  .string({ error: (issue) => `sampler is ${shown(issue.input)}; it must be a string` })
  .transform((text, context): SamplerName => {
    const name = samplerNamed(text)
    if (name) return name
    context.addIssue({
      code: 'custom',
      message: `sampler is ${shown(text)}; it must be one of ${SAMPLER_NAMES.join(', ')}`,
    })
    return z.NEVER
  })

const timestepSpacing = z.enum(TIMESTEP_SPACINGS, {
  error: (issue) =>
    `timestepSpacing is ${shown(issue.input)}; it must be one of ${TIMESTEP_SPACINGS.join(', ')}`,
})

const model = z
  .string({ error: (issue) => `model is ${shown(issue.input)}; it must be a string` })
  .min(1, { error: 'model is empty; name one, or leave it out' })
  .max(MAX_MODEL_CHARACTERS, {
    error: (issue) =>
      `model is ${charactersIn(String(issue.input))} characters; the limit is ${MAX_MODEL_CHARACTERS}`,
  })

const size = z
  .string({ error: (issue) => `size is ${shown(issue.input)}; it must be a string like "512x512"` })
  .refine((text) => isSize(text), {
    error: (issue) =>
      `size is ${shown(issue.input)}; it must be WIDTHxHEIGHT, both multiples of ${SIDE_MULTIPLE} from ${MIN_SIDE} to ${MAX_SIDE}`,
  })

/**
 * The body of `POST /api/v1/images`. What is left out is drawn (seed) or the model's own (size, steps, guidance,
 * sampler, timestep spacing). What a model predicts is a matter of its weights and no setting of a request.
 */
export const CreateImages = z
  .strictObject(
    {
      prompt: prompt.describe('What to draw; up to 2000 characters, an emoji being one'),
      n: wholeNumber('n', 1, MAX_IMAGES).default(1).describe('How many images'),
      seed: wholeNumber('seed', 0, MAX_SEED)
        .optional()
        .describe('Of image 0; image i has seed + i. Drawn and reported when absent'),
      size: size.optional().describe('WIDTHxHEIGHT in pixels, multiples of 8; the model’s own when absent'),
      steps: wholeNumber('steps', 1, MAX_STEPS)
        .optional()
        .describe('Denoising steps; models may allow fewer, see their `maxSteps`'),
      guidance: guidance.optional().describe('Classifier-free guidance; 1 and less are none'),
      negativePrompt: promptText('negativePrompt')
        .optional()
        .describe('What not to show; without effect where there is no guidance'),
      sampler: sampler
        .optional()
        .describe('By its name here, or as other tools call it; the model’s own when absent'),
      emphasis: z
        .boolean({ error: (issue) => `emphasis is ${shown(issue.input)}; it must be true or false` })
        .default(false)
        .describe('Whether brackets weigh words, as in AUTOMATIC1111'),
      timestepSpacing: timestepSpacing.optional().describe('How steps are spread over the noise levels'),
      model: model.optional().describe('One of `GET /api/v1/models`; the default one when absent'),
      webhookUrl: z
        .url({
          protocol: /^https?$/,
          error: (issue) => `webhookUrl is ${shown(issue.input)}; it must be an http or https address`,
        })
        .max(2000, { error: 'webhookUrl is longer than 2000 characters' })
        .optional()
        .describe('Where to send the whole request, signed, when it has ended; where the operator allows it'),
      expiresInSeconds: wholeNumber('expiresInSeconds', 1, MAX_EXPIRES_IN_SECONDS)
        .optional()
        .describe('An image that is not begun by then is never drawn and fails with `deadline_exceeded`'),
      format: z
        .enum(IMAGE_FORMATS, {
          error: (issue) => `format is ${shown(issue.input)}; it must be one of ${IMAGE_FORMATS.join(', ')}`,
        })
        .default('png'),
    },
    {
      error: (issue) =>
        issue.code === 'unrecognized_keys'
          ? `unknown field ${issue.keys?.map((key: string) => `"${key.slice(0, SHOWN_CHARACTERS)}"`).join(', ')}`
          : 'the body must be a JSON object',
    },
  )
  .meta({ id: 'CreateImages' })
export type CreateImages = z.infer<typeof CreateImages>

/**
 * Reads "512x384" as pixels.
 * @throws when the text has not passed `CreateImages`
 */
export function parseSize(text: string): { width: number; height: number } {
  const [width, height] = text.split('x').map(Number)
  if (!width || !height) throw new Error(`size "${text}" was never validated. This is a bug.`)
  return { width, height }
}

function wholeNumber(name: string, least: number, limit: number) {
  return z
    .int({ error: (issue) => `${name} is ${shown(issue.input)}; it must be a whole number` })
    .min(least, { error: (issue) => `${name} is ${issue.input}; the least is ${least}` })
    .max(limit, { error: (issue) => `${name} is ${issue.input}; the limit is ${limit}` })
}

function isSize(text: string): boolean {
  const sides = /^(\d{1,5})x(\d{1,5})$/.exec(text)?.slice(1).map(Number)
  return sides?.every((side) => side >= MIN_SIDE && side <= MAX_SIDE && side % SIDE_MULTIPLE === 0) ?? false
}

// Code points, so that an emoji is one character and not two.
function charactersIn(text: string): number {
  return [...text].length
}

function shown(value: unknown): string {
  if (value === undefined) return 'missing'
  const text = JSON.stringify(value)
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text
}
