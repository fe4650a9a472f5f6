import { HubError } from './hub-error.ts'
import { CARD_FILES } from './model-card.ts'
import { OPTIONAL_TOKENIZER_FILES, PARTS, type Part, TOKENIZER_FILES, TOKENIZERS } from './source.ts'

/** The files of a repository that a compile needs; shards are named by the indexes. */
export type ChosenFiles = { files: string[]; indexes: string[] }

/**
 * Picks the smallest sufficient set of a diffusers repository: configs, tokenizers and, part by part, the fp16
 * weights where there are such, else the full ones. Nothing else is downloaded.
 * @throws HubError naming what is missing
 */
export async function chooseFiles(id: string, has: (path: string) => Promise<boolean>): Promise<ChosenFiles> {
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
    const found = await firstOf(weightNames(part), has)
    if (!found) missing.push(`${weightNames(part)[2]} or its fp16 or sharded form`)
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
function weightNames(part: Part): string[] {
  const stem = `${part}/${part.startsWith('text') ? 'model' : 'diffusion_pytorch_model'}`
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
