import {
  CreateImages,
  DEFAULT_STRENGTH,
  describeIssues,
  IMAGE_FORMATS,
  MAX_IMAGES,
  MAX_MODEL_CHARACTERS,
  MAX_PREVIEWS,
  type Model,
} from '@sdcpu/contract'
import { z } from 'zod'
import { ApiError } from '../api-error.ts'
import { readInputImage } from '../input-image.ts'
import { fitSize, readSize, sizeLike } from './fit-size.ts'

const SHOWN_CHARACTERS = 40 // of a value in a message: enough to recognise it

const mustBe = (name: string, what: string) => (issue: { input?: unknown }) =>
  `${name} is ${shown(issue.input)}; it must be ${what}`
const number = (name: string) => z.number({ error: mustBe(name, 'a number') }).nullish()
const wholeNumber = (name: string) => z.int({ error: mustBe(name, 'a whole number') }).nullish()
const text = (name: string) => z.string({ error: mustBe(name, 'a string') }).nullish()
const oneOf = <const Values extends readonly string[]>(name: string, values: Values) =>
  z.enum(values, { error: mustBe(name, `one of ${values.join(', ')}`) }).nullish()

/**
 * The body of `POST /v1/images/generations`. OpenAI's other fields and unknown ones are accepted and have no effect;
 * limits are those of the native API, which judges the values.
 */
export const GenerateBody = z
  .looseObject(
    {
      prompt: z
        .string({ error: mustBe('prompt', 'a string') })
        .describe('What to draw; up to 2000 characters'),
      model: z
        .string({ error: mustBe('model', 'a string') })
        .max(MAX_MODEL_CHARACTERS, {
          error: (issue) =>
            `model is ${String(issue.input).length} characters; the limit is ${MAX_MODEL_CHARACTERS}`,
        })
        .nullish()
        .describe("One of GET /v1/models, or any of OpenAI's own names for the default one"),
      n: wholeNumber('n').describe(`How many images; 1 to ${MAX_IMAGES}, 1 when absent`),
      size: text('size').describe(
        '`auto`, or WIDTHxHEIGHT; a size that is not allowed becomes one of about its shape, and is reported',
      ),
      response_format: oneOf('response_format', ['b64_json', 'url']).describe('`b64_json` when absent'),
      output_format: oneOf('output_format', IMAGE_FORMATS).describe('`png` when absent'),
      stream: z
        .boolean({ error: mustBe('stream', 'true or false') })
        .nullish()
        .describe('Whether to answer with server-sent events'),
      partial_images: z
        .int({ error: mustBe('partial_images', 'a whole number') })
        .min(0, { error: (issue) => `partial_images is ${issue.input}; the least is 0` })
        .max(MAX_PREVIEWS, {
          error: (issue) => `partial_images is ${issue.input}; the limit is ${MAX_PREVIEWS}`,
        })
        .nullish()
        .describe('With `stream`: how often each image is shown while it is drawn; less than once a step'),
      seed: number('seed').describe('Of image 0; image i has seed + i. Drawn and reported when absent or -1'),
      rng_seed: number('rng_seed').describe('The same as `seed`'),
      steps: wholeNumber('steps').describe('Denoising steps'),
      num_inference_steps: wholeNumber('num_inference_steps').describe('The same as `steps`'),
      step: wholeNumber('step').describe('The same as `steps`'),
      guidance_scale: number('guidance_scale').describe('Classifier-free guidance'),
      cfg_scale: number('cfg_scale').describe('The same as `guidance_scale`'),
      negative_prompt: text('negative_prompt').describe('What not to show'),
      image: text('image').describe(
        'What to begin with: base64 of a PNG, JPEG or WebP file, or a data URL of it',
      ),
      strength: number('strength').describe('How far from `image` to go; without effect where there is none'),
    },
    { error: 'the body must be a JSON object' },
  )
  .meta({ id: 'OpenAiGenerateImages' })
export type GenerateBody = z.infer<typeof GenerateBody>

/** The form of `POST /v1/images/edits`, its numbers read and its file as base64. */
export const EditBody = GenerateBody.extend({
  image: z
    .string({ error: 'image is missing; send one PNG, JPEG or WebP file' })
    .describe('What to begin with: a PNG, JPEG or WebP file of at most 8 MiB')
    .meta({ format: 'binary' }),
}).meta({ id: 'OpenAiEditImages' })

/** Names under which clients send what the native API has one name for; the first that is given counts. */
const ALIASES = {
  seed: ['seed', 'rng_seed'],
  steps: ['steps', 'num_inference_steps', 'step'],
  guidance: ['guidance_scale', 'cfg_scale'],
  negativePrompt: ['negative_prompt'],
  format: ['output_format'],
} as const

// Tools have these built in, or send them when nobody chose a model; no model here is ever called so.
const OPENAI_MODELS = /^(?:dall-e-|gpt-image|chatgpt-image)/

/** The model that is asked for; undefined for the default one. */
export function modelAskedFor({ model }: Pick<GenerateBody, 'model'>): string | undefined {
  return !model || OPENAI_MODELS.test(model) ? undefined : model
}

/**
 * Translates a request of OpenAI's clients for the model that will draw it, whose workers have memory for `maxPixels`.
 * @throws `invalid_request` with the client's own name of the field at fault
 */
export async function toCreateImages(
  body: GenerateBody,
  { model, maxPixels }: { model: Model; maxPixels: number },
): Promise<CreateImages> {
  const { value: seed } = pick(body, 'seed')
  const { value: steps } = pick(body, 'steps')
  const image = body.image ?? undefined
  const strength = image === undefined ? undefined : (body.strength ?? undefined)
  const asked = {
    prompt: body.prompt,
    model: model.name,
    n: body.n ?? undefined,
    // As other tools ask for one that is drawn.
    seed: seed === -1 ? undefined : seed,
    steps: steps ?? (image === undefined ? undefined : stepsFrom(model, strength)),
    guidance: pick(body, 'guidance').value,
    negativePrompt: pick(body, 'negativePrompt').value,
    format: pick(body, 'format').value,
    image,
    strength,
  }
  const parsed = CreateImages.safeParse(asked)
  if (!parsed.success) throw toFault(parsed.error, body)
  return { ...parsed.data, size: await chooseSize(body, parsed.data, { model, maxPixels }) }
}

/** From an image, that many of the model's steps that one is drawn at least. */
function stepsFrom({ defaultSteps, maxSteps }: Model, strength = DEFAULT_STRENGTH): number {
  const least = strength > 0 ? Math.ceil(1 / strength) : 1
  return Math.min(Math.max(defaultSteps, least), maxSteps)
}

/** What is asked for, made possible; from an image, and left to us, its own shape at about the pixels of the model's size. */
async function chooseSize(
  body: GenerateBody,
  { image }: CreateImages,
  { model, maxPixels }: { model: Model; maxPixels: number },
): Promise<string | undefined> {
  const asked = readSize(body.size)
  if (asked) return fitSize(asked, maxPixels)
  if (image === undefined) return undefined
  return fitSize(sizeLike(await readInputImage(image), model.nativeSize), maxPixels)
}

type Alias = keyof typeof ALIASES

function pick<Name extends Alias>(body: GenerateBody, name: Name) {
  const names: readonly (typeof ALIASES)[Name][number][] = ALIASES[name]
  const used = names.find((alias) => body[alias] !== undefined && body[alias] !== null) ?? names[0]!
  return { used, value: (body[used] as GenerateBody[(typeof ALIASES)[Name][number]]) ?? undefined }
}

/** Says what is wrong in the client's own names. */
function toFault(error: z.ZodError, body: GenerateBody): ApiError {
  const nameOf = (native: string) => (native in ALIASES ? pick(body, native as Alias).used : native)
  const [first] = error.issues
  const native = String(first?.path[0] ?? '')
  const message = describeIssues(error).replaceAll(
    /(^|; )(\w+)(?= is )/g,
    (_, start: string, name: string) => `${start}${nameOf(name)}`,
  )
  return new ApiError('invalid_request', message, { param: nameOf(native) || undefined })
}

function shown(value: unknown): string {
  if (value === undefined) return 'missing'
  const json = JSON.stringify(value)
  return json.length > SHOWN_CHARACTERS ? `${json.slice(0, SHOWN_CHARACTERS)}…` : json
}
