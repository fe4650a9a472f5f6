import { HubError } from './hub-error.ts'
import { CARD_FILES } from './model-card.ts'
import { OPTIONAL_TOKENIZER_FILES, PARTS, TOKENIZER_FILES, TOKENIZERS } from './source.ts'

/** The files of a repository that a compile needs; shards are named by the indexes. */
export type ChosenFiles = { files: string[]; indexes: string[] }

/** What is wanted of a repository. */
export type RepositoryKind = {
  /** Files of which it has at least one: the first that is there tells the commit where there is no API. */
  probes: string[]
  /** Folder below the repository's own, so that a part is never taken for the whole. */
  folder: string
  /** @throws HubError naming what is missing */
  choose(id: string, has: (path: string) => Promise<boolean>): Promise<ChosenFiles>
}

export const WHOLE_MODEL: RepositoryKind = { probes: ['model_index.json'], folder: '', choose: chooseFiles }
/** A VAE, of a repository of its own (madebyollin/taesdxl, madebyollin/sdxl-vae-fp16-fix) or of a whole model. */
export const VAE_ALONE: RepositoryKind = {
  probes: ['config.json', 'vae/config.json'],
  folder: 'vae',
  choose: chooseVaeFiles,
}

async function chooseVaeFiles(id: string, has: (path: string) => Promise<boolean>): Promise<ChosenFiles> {
  for (const config of VAE_ALONE.probes) {
    const names = weightNames(config.replace('config.json', 'diffusion_pytorch_model'))
    const found = (await has(config)) ? await firstOf(names, has) : undefined
    if (found?.endsWith('.json')) return { files: [config], indexes: [found] }
    if (found) return { files: [config, found], indexes: [] }
  }
  throw new HubError(
    `${id} is not a VAE in diffusers layout, nor a model with one: it must hold config.json and diffusion_pytorch_model.safetensors, or both in vae/`,
  )
}

/**
 * Picks the smallest sufficient set of a diffusers repository: configs, tokenizers and, part by part, the fp16
 * weights where there are such, else the full ones. Nothing else is downloaded.
 * @throws HubError naming what is missing
 */
async function chooseFiles(id: string, has: (path: string) => Promise<boolean>): Promise<ChosenFiles> {
  const needed = [
    'model_index.json',
    'scheduler/scheduler_config.json',
    ...PARTS.map((part) => `${part}/config.json`),
    ...namesOf(TOKENIZER_FILES.filter((name) => !OPTIONAL_TOKENIZER_FILES.includes(name))),
  ]
  const missing: string[] = []
  for (const path of needed) if (!(await has(path))) missing.push(path)
  const files = needed
  for (const path of [...namesOf(OPTIONAL_TOKENIZER_FILES), ...CARD_FILES])
    if (await has(path)) files.push(path)
  const indexes: string[] = []
  for (const part of PARTS) {
    const names = weightNames(`${part}/${part.startsWith('text') ? 'model' : 'diffusion_pytorch_model'}`)
    const found = await firstOf(names, has)
    if (!found) missing.push(`${names[2]} or its fp16 or sharded form`)
    else if (found.endsWith('.json')) indexes.push(found)
    else files.push(found)
  }
  if (missing.length === 0) return { files, indexes }
  const others = missing.length > 1 ? ` and ${missing.length - 1} more` : ''
  throw new HubError(
    `${id} is not a whole SDXL model in diffusers layout: ${missing[0]}${others} of its files are not there`,
  )
}

const namesOf = (names: string[]) => TOKENIZERS.flatMap((folder) => names.map((name) => `${folder}/${name}`))

/** In order of preference: half the bytes first, one file before shards. */
function weightNames(stem: string): string[] {
  return [
    `${stem}.fp16.safetensors`,
    `${stem}.safetensors.index.fp16.json`,
    `${stem}.safetensors`,
    `${stem}.safetensors.index.json`,
  ]
}

async function firstOf(paths: string[], has: (path: string) => Promise<boolean>) {
  for (const path of paths) if (await has(path)) return path
  return undefined
}
