import { access, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { SchedulerConfig } from '@sdcpu/diffusion'
import type * as z from 'zod'
import { CompileError } from './compile-error.ts'
import { ClipConfig, ModelIndex, UnetConfig, VaeConfig } from './configs.ts'
import { type ModelCard, readModelCard } from './model-card.ts'
import { openWeights, readShardNames, type WeightsSource } from './weights-source.ts'

export const PARTS = ['text_encoder', 'text_encoder_2', 'unet', 'vae'] as const
export type Part = (typeof PARTS)[number]

export const TOKENIZERS = ['tokenizer', 'tokenizer_2'] as const
export const TOKENIZER_FILES = [
  'vocab.json',
  'merges.txt',
  'tokenizer_config.json',
  'special_tokens_map.json',
]
export const OPTIONAL_TOKENIZER_FILES = ['special_tokens_map.json']

/** An SDXL model, checked: every file is there and every setting is one we can compile. */
export type ModelSource = {
  index: z.infer<typeof ModelIndex>
  scheduler: z.infer<typeof SchedulerConfig>
  textEncoder: ClipConfig
  textEncoder2: ClipConfig
  unet: UnetConfig
  vae: VaeConfig
  card: ModelCard
  /** What no file of the source says, so that it is our guess. */
  inferred: { scheduler: boolean; size: boolean }
  /** Opens the weights of one part, under diffusers' names; the caller closes them. */
  openPart(part: Part): Promise<WeightsSource>
  /** The tokenizers' files by their path in the compiled model: a file to copy, or what to write. */
  tokenizerFiles: Record<string, string | Uint8Array>
  /** Every file above, by the name that model.json gives it, in a fixed order: what the model's content hash covers. */
  files: Record<string, string>
}

/**
 * Reads a diffusers folder's configs and finds its weights.
 * @throws CompileError naming the file, and the key and value where a setting is not supported.
 */
export async function openSource(folder: string): Promise<ModelSource> {
  const index = await readConfig(folder, 'model_index.json', ModelIndex)
  const configs = {
    scheduler: await readConfig(folder, 'scheduler/scheduler_config.json', SchedulerConfig),
    textEncoder: await readConfig(folder, 'text_encoder/config.json', ClipConfig),
    textEncoder2: await readConfig(folder, 'text_encoder_2/config.json', ClipConfig),
    unet: await readConfig(folder, 'unet/config.json', UnetConfig),
    vae: await readConfig(folder, 'vae/config.json', VaeConfig),
  }
  checkTogether(configs)
  const weightFiles = {} as Record<Part, string[]>
  for (const part of PARTS) weightFiles[part] = await findWeights(folder, part)
  const tokenizerFiles = await findTokenizerFiles(folder)
  const { card, files: cardFiles } = await readModelCard(folder)
  const paths = [
    'model_index.json',
    'scheduler/scheduler_config.json',
    ...PARTS.map((part) => `${part}/config.json`),
    ...tokenizerFiles,
    ...PARTS.flatMap((part) => weightFiles[part].map((path) => relative(folder, path))),
  ]
  const inFolder = (names: string[]) => Object.fromEntries(names.map((path) => [path, join(folder, path)]))
  return {
    index,
    ...configs,
    card,
    inferred: { scheduler: false, size: false },
    openPart: (part) => openWeights(weightFiles[part], (path) => relative(folder, path)),
    tokenizerFiles: inFolder(tokenizerFiles),
    files: { ...inFolder(paths), ...cardFiles },
  }
}

/** Reads and checks one config. @throws CompileError naming file, key and value */
export async function readConfig<Schema extends z.ZodType>(
  folder: string,
  path: string,
  schema: Schema,
): Promise<z.infer<Schema>> {
  const text = await readFile(join(folder, path), 'utf8').catch((cause) => {
    throw new CompileError(`${join(folder, path)} is missing; an SDXL model in diffusers layout has it`, {
      cause,
    })
  })
  let value: unknown
  try {
    // Python writes infinities bare, as diffusers does for DPM++'s lambda_min_clipped; null is its "no bound".
    value = JSON.parse(text.replace(/:\s*-?Infinity\b/g, ': null'))
  } catch (cause) {
    throw new CompileError(`${path} is not JSON`, { cause })
  }
  return checkConfig(value, schema, path)
}

/** Checks the values of a config. @throws CompileError that begins with `label` and names key and value */
export function checkConfig<Schema extends z.ZodType>(
  value: unknown,
  schema: Schema,
  label: string,
): z.infer<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const faults = result.error.issues.map((issue) => describeIssue(issue, value))
  throw new CompileError(`${label}: ${faults.join('; ')}`)
}

function describeIssue(issue: z.core.$ZodIssue, root: unknown): string {
  const key = issue.path.join('.')
  const found = issue.path.reduce<unknown>((value, step) => (value as never)?.[step as never], root)
  return found === undefined ? `${key} is missing` : `${key} is ${JSON.stringify(found)}; ${issue.message}`
}

/** Checks that the parts fit each other. @throws CompileError naming the config, key and both values */
export function checkTogether({
  textEncoder,
  textEncoder2,
  unet,
  vae,
}: Pick<ModelSource, 'textEncoder' | 'textEncoder2' | 'unet' | 'vae'>): void {
  const context = textEncoder.hidden_size + textEncoder2.hidden_size
  for (const width of [unet.cross_attention_dim].flat())
    if (width !== context)
      throw new CompileError(
        `unet/config.json: cross_attention_dim is ${width}; the text encoders give ${textEncoder.hidden_size} + ${textEncoder2.hidden_size} = ${context}`,
      )
  const projection = 6 * unet.addition_time_embed_dim + textEncoder2.projection_dim
  if (unet.projection_class_embeddings_input_dim !== projection)
    throw new CompileError(
      `unet/config.json: projection_class_embeddings_input_dim is ${unet.projection_class_embeddings_input_dim}; 6 x addition_time_embed_dim ${unet.addition_time_embed_dim} + projection_dim ${textEncoder2.projection_dim} of text_encoder_2 is ${projection}`,
    )
  if (unet.in_channels !== vae.latent_channels)
    throw new CompileError(
      `unet/config.json: in_channels is ${unet.in_channels}; vae/config.json has latent_channels ${vae.latent_channels}`,
    )
}

async function findWeights(folder: string, part: Part): Promise<string[]> {
  const stem = part.startsWith('text') ? 'model' : 'diffusion_pytorch_model'
  for (const name of [`${stem}.safetensors`, `${stem}.fp16.safetensors`])
    if (await exists(join(folder, part, name))) return [join(folder, part, name)]
  for (const name of [`${stem}.safetensors.index.json`, `${stem}.safetensors.index.fp16.json`]) {
    const index = join(folder, part, name)
    if (await exists(index)) return [index, ...(await readShardNames(index, `${part}/${name}`))]
  }
  throw new CompileError(
    `${join(folder, part)} holds no weights; ${stem}.safetensors, ${stem}.fp16.safetensors or a ${stem}.safetensors.index.json with its shards is expected`,
  )
}

/** Paths, relative to `folder`, of both tokenizers' files. @throws CompileError when one is missing */
export async function findTokenizerFiles(folder: string): Promise<string[]> {
  const found: string[] = []
  for (const tokenizer of TOKENIZERS)
    for (const name of TOKENIZER_FILES) {
      if (await exists(join(folder, tokenizer, name))) found.push(`${tokenizer}/${name}`)
      else if (!OPTIONAL_TOKENIZER_FILES.includes(name))
        throw new CompileError(`${join(folder, tokenizer, name)} is missing; a CLIP tokenizer has it`)
    }
  return found
}

/** Says whether there is such a file or folder. */
export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
