import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Licence } from '@sdcpu/diffusion'
import { parse } from 'yaml'
import * as z from 'zod'

/** What a source says of itself beside its configs. */
export type ModelCard = {
  licence?: Licence
  /** Denoising steps and guidance that its authors show it with. */
  steps?: number
  guidance?: number
  /** Its name in the words of its authors. */
  title?: string
}

/** Names under which the files lie in a model's folder. */
export const CARD_FILES = ['README.md', 'NOTICE']

const FRONT_MATTER = /^---\r?\n(.*?)\r?\n---\s*?(?:\r?\n|$)/s

// Keys of the hub's model cards; what is of another form counts as absent.
const FrontMatter = z.object({
  license: z.string().optional().catch(undefined),
  license_name: z.string().optional().catch(undefined),
  license_link: z.url().optional().catch(undefined),
  inference: z
    .object({
      parameters: z.object({
        num_inference_steps: z.int().positive().optional().catch(undefined),
        guidance_scale: z.number().nonnegative().optional().catch(undefined),
      }),
    })
    .optional()
    .catch(undefined),
})

/** Where the texts of licences stand that models are usually under. */
const LINKS: Record<string, string> = {
  'apache-2.0': 'https://www.apache.org/licenses/LICENSE-2.0',
  mit: 'https://opensource.org/license/mit',
  'openrail++': 'https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md',
  'sai-nc-community': 'https://huggingface.co/stabilityai/sdxl-turbo/blob/main/LICENSE.md',
}

/** What those who offer a model have to know, in our words, of licences that restrict its use. */
const NOTICES: Record<string, string> = {
  'openrail++': 'The licence forbids the uses it lists; whoever is offered the model must be told.',
  'sai-nc-community':
    'Commercial use is allowed only within the limits that the licence of Stability AI sets; see its text.',
}

/**
 * Reads a folder's model card (`README.md` with the hub's front matter) and its `NOTICE`, of those that are there.
 * A card that cannot be read says nothing: it is no reason not to draw.
 */
export async function readModelCard(
  folder: string,
): Promise<{ card: ModelCard; files: Record<string, string> }> {
  const texts: Record<string, string> = {}
  const files: Record<string, string> = {}
  for (const name of CARD_FILES) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => undefined)
    if (text === undefined) continue
    texts[name] = text
    files[name] = join(folder, name)
  }
  const matter = readFrontMatter(texts['README.md'] ?? '')
  const { license, license_name, license_link, inference } = matter
  const id = license === 'other' ? (license_name ?? license) : license
  return {
    card: {
      licence: describeLicence(id, { link: license_link, notice: texts.NOTICE?.trim() }),
      steps: inference?.parameters.num_inference_steps,
      guidance: inference?.parameters.guidance_scale,
    },
    files,
  }
}

/** What a single file says of itself in the metadata of SAI's ModelSpec. */
export function readModelSpec(metadata: Record<string, string>): ModelCard {
  return {
    title: metadata['modelspec.title'],
    licence: describeLicence(metadata['modelspec.license'], {}),
  }
}

function readFrontMatter(text: string): z.infer<typeof FrontMatter> {
  const [, yaml] = FRONT_MATTER.exec(text) ?? []
  if (yaml === undefined) return {}
  try {
    return FrontMatter.parse(parse(yaml))
  } catch {
    return {}
  }
}

function describeLicence(
  id: string | undefined,
  own: { link?: string; notice?: string },
): Licence | undefined {
  if (!id) return undefined
  const known = id.toLowerCase()
  const link = own.link ?? LINKS[known]
  const notice = own.notice || NOTICES[known]
  return { id, ...(link && { link }), ...(notice && { notice }) }
}
