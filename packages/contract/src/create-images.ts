import { z } from 'zod'
import { IMAGE_FORMATS } from './image-format.ts'

export const MAX_PROMPT_CHARACTERS = 1000 // ~13x the 77 tokens CLIP keeps
export const MAX_IMAGES = 8 // two batches of the default size; more belongs in more requests
export const MAX_SEED = 2 ** 32 - 1 // torch's CPU generator looks at no more than 32 bits
export const SIDE_MULTIPLE = 8 // one latent decodes to 8 x 8 pixels
export const MIN_SIDE = 64 // below 8 x 8 latents the UNet's deepest level has nothing left to see
export const MAX_SIDE = 1024 // SDXL's own size; time and memory grow with the square of it
export const MAX_STEPS = 8 // distilled models draw in 1 to 4 and stop improving soon after
const SHOWN_CHARACTERS = 40 // of a value in a message: enough to recognise it

const prompt = z
  .string({ error: (issue) => `prompt is ${shown(issue.input)}; it must be a string` })
  .trim()
  .min(1, { error: 'prompt is empty; say what to draw' })
  .refine((text) => charactersIn(text) <= MAX_PROMPT_CHARACTERS, {
    error: (issue) =>
      `prompt is ${charactersIn(String(issue.input))} characters; the limit is ${MAX_PROMPT_CHARACTERS}`,
  })

const size = z
  .string({ error: (issue) => `size is ${shown(issue.input)}; it must be a string like "512x512"` })
  .refine((text) => isSize(text), {
    error: (issue) =>
      `size is ${shown(issue.input)}; it must be WIDTHxHEIGHT, both multiples of ${SIDE_MULTIPLE} from ${MIN_SIDE} to ${MAX_SIDE}`,
  })

/** The body of `POST /api/v1/images`. What is left out is drawn (seed) or the model's own (size, steps). */
export const CreateImages = z
  .strictObject(
    {
      prompt,
      n: wholeNumber('n', 1, MAX_IMAGES).default(1),
      seed: wholeNumber('seed', 0, MAX_SEED).optional(),
      size: size.optional(),
      steps: wholeNumber('steps', 1, MAX_STEPS).optional(),
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
