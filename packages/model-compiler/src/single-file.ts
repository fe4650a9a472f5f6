import { basename, dirname, join } from 'node:path'
import { SchedulerConfig } from '@sdcpu/diffusion'
import type * as z from 'zod'
import { recogniseOther } from './checkpoint-family.ts'
import { CLIP_MERGES, CLIP_VOCABULARY_SIZE, clipTokenizerFiles } from './clip-vocabulary.ts'
import { CompileError } from './compile-error.ts'
import { ClipConfig, ModelIndex, UnetConfig, VaeConfig } from './configs.ts'
import {
  CLIP,
  inferClip,
  inferOpenClip,
  inferScheduler,
  inferUnet,
  inferVae,
  namedSide,
  OPEN_CLIP,
  UNET,
  VAE,
} from './infer-configs.ts'
import { readModelCard, readModelSpec } from './model-card.ts'
import { lookUpBy, type NamePair, openClipNames, unetNames, vaeNames } from './original-names.ts'
import { type OriginalPart, openOriginalPart } from './original-weights.ts'
import { openSafetensors, type SafetensorsFile } from './safetensors.ts'
import {
  checkConfig,
  checkTogether,
  exists,
  findTokenizerFiles,
  type ModelSource,
  type Part,
  readConfig,
} from './source.ts'

const ENDING = '.safetensors'
// Latents, or with a mask and a masked picture beside them: what the UNet's first convolution takes.
const LATENT_CHANNELS = 4

// Tensors that carry no weights but say how the model was trained (ComfyUI's supported_models.py reads them).
const UNSUPPORTED_MARKS = {
  ztsnr: 'a model trained with zero terminal SNR',
  'edm_vpred.sigma_max': "a model trained with EDM's noise levels",
}

/**
 * Reads a single-file SDXL checkpoint in the original key layout. Settings that its shapes do not tell are SDXL-Turbo's
 * own; configs and tokenizers in a folder beside it, `NAME.config` in diffusers' layout, go before both.
 * @throws CompileError naming the file and tensor; files of other families are named for what they are
 */
export async function openSingleFile(path: string): Promise<ModelSource> {
  const label = basename(path)
  const file = await openSafetensors(path, label)
  try {
    checkFamily(file)
    const beside = join(dirname(path), `${basename(path, ENDING)}.config`)
    const given: Record<string, string> = {}
    const config = async <Schema extends z.ZodType>(name: string, schema: Schema, inferred: unknown) => {
      const here = `${basename(beside)}/${name}`
      if (!(await exists(join(beside, name)))) return inferConfig(inferred, schema, { label, name, here })
      given[name] = join(beside, name)
      return readConfig(dirname(beside), here, schema)
    }
    const [unet, openClip, vae] = [inferUnet(file), inferOpenClip(file), inferVae(file)]
    const source = {
      index: await config('model_index.json', ModelIndex, { _class_name: 'StableDiffusionXLPipeline' }),
      scheduler: await config('scheduler/scheduler_config.json', SchedulerConfig, inferScheduler(file)),
      textEncoder: await config('text_encoder/config.json', ClipConfig, inferClip(file)),
      textEncoder2: await config('text_encoder_2/config.json', ClipConfig, openClip),
      unet: await config('unet/config.json', UnetConfig, unet),
      vae: await config('vae/config.json', VaeConfig, vae),
    }
    checkTogether(source)
    const names = {
      unet: unetNames(unet.layers_per_block),
      text_encoder_2: openClipNames(openClip.num_hidden_layers),
      vae: vaeNames(vae.block_out_channels.length, vae.layers_per_block),
    }
    const tokenizers = await findTokenizers(beside, label, source)
    const { card, files: cardFiles } = await readModelCard(beside)
    return {
      ...source,
      card: { ...readModelSpec(file.metadata), ...present(card) },
      inferred: {
        scheduler: !given['scheduler/scheduler_config.json'],
        size: !given['unet/config.json'] && namedSide(file.metadata) === undefined,
      },
      openPart: (part) => openOriginalPart(path, label, describePart(part, names)),
      tokenizerFiles: tokenizers.files,
      files: { ...given, ...cardFiles, ...tokenizers.hashed, [label]: path },
    }
  } finally {
    await file.close()
  }
}

/** What a card says, without what it leaves open. */
function present<Card extends object>(card: Card): Partial<Card> {
  return Object.fromEntries(Object.entries(card).filter(([, value]) => value !== undefined)) as Partial<Card>
}

function checkFamily({ label, tensors, others }: SafetensorsFile): void {
  const names = [...tensors.keys(), ...others.keys()]
  const expected = `${label}: a single-file SDXL checkpoint is expected`
  const other = recogniseOther(names)
  if (other) throw new CompileError(`${expected}; this is ${other}`)
  for (const [name, type] of others)
    if (/^F\d/.test(type))
      throw new CompileError(`${label}: tensor ${name} is of type ${type}; F16, BF16 or F32 is expected`)
  for (const prefix of [UNET, CLIP, OPEN_CLIP, VAE])
    if (!names.some((name) => name.startsWith(prefix)))
      throw new CompileError(
        `${expected}; of ${names.length} tensors (${names.slice(0, 3).join(', ')}, …) none begins with ${prefix}`,
      )
  for (const [mark, meaning] of Object.entries(UNSUPPORTED_MARKS))
    if (names.includes(mark))
      throw new CompileError(`${label}: tensor ${mark} marks ${meaning}, which is not supported`)
  const channels = tensors.get(`${UNET}input_blocks.0.0.weight`)?.shape[1]
  if (channels !== undefined && channels !== LATENT_CHANNELS)
    throw new CompileError(
      `${label}: tensor ${UNET}input_blocks.0.0.weight takes ${channels} channels; ${LATENT_CHANNELS} are expected (9 is an inpainting model, 8 one that edits pictures)`,
    )
}

function inferConfig<Schema extends z.ZodType>(
  value: unknown,
  schema: Schema,
  { label, name, here }: { label: string; name: string; here: string },
): z.infer<Schema> {
  try {
    return checkConfig(value, schema, name)
  } catch (cause) {
    throw new CompileError(
      `${label}: its shapes do not tell ${(cause as Error).message}. Put the model's own config at ${here}`,
      { cause },
    )
  }
}

const PREFIXES: Record<Part, string> = { unet: UNET, text_encoder: CLIP, text_encoder_2: OPEN_CLIP, vae: VAE }

function describePart(part: Part, names: Record<Exclude<Part, 'text_encoder'>, NamePair[]>): OriginalPart {
  // The first text encoder stands in the file under transformers' own names.
  const pairs = part === 'text_encoder' ? [{ original: 'text_model', diffusers: 'text_model' }] : names[part]
  return {
    prefix: PREFIXES[part],
    toDiffusers: lookUpBy(pairs, 'original'),
    toOriginal: lookUpBy(pairs, 'diffusers'),
  }
}

async function findTokenizers(
  beside: string,
  label: string,
  { textEncoder, textEncoder2 }: Pick<ModelSource, 'textEncoder' | 'textEncoder2'>,
): Promise<{ files: ModelSource['tokenizerFiles']; hashed: Record<string, string> }> {
  if (await exists(join(beside, 'tokenizer'))) {
    const paths = await findTokenizerFiles(beside)
    const files = Object.fromEntries(paths.map((path) => [path, join(beside, path)]))
    return { files, hashed: files }
  }
  for (const { vocab_size: size } of [textEncoder, textEncoder2])
    if (size !== CLIP_VOCABULARY_SIZE)
      throw new CompileError(
        `${label}: a text encoder knows ${size} tokens; CLIP's own vocabulary has ${CLIP_VOCABULARY_SIZE}. Put the model's tokenizers at ${basename(beside)}/tokenizer and ${basename(beside)}/tokenizer_2`,
      )
  return { files: await clipTokenizerFiles(), hashed: { [basename(CLIP_MERGES)]: CLIP_MERGES } }
}
