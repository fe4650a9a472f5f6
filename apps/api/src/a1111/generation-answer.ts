import { type Image, type ImagesResource, parseSize } from '@sdcpu/contract'
import { parseInfotext } from './infotext.ts'
import { readInfotext } from './picture-text.ts'
import { timestampOf } from './progress.ts'
import type { Settled } from './settle-generation.ts'

/** What `txt2img` and `img2img` answer. */
export type GenerationAnswer = {
  /** PNGs in base64. */
  images: string[]
  /** The request, as far as its fields are known. */
  parameters: Record<string, unknown>
  /** JSON in a text; clients fail on an object. */
  info: string
}

export type Picture = { image: Image; bytes: Buffer }

/** A request that has ended, with those of its images that were drawn. */
type Drawn = Pick<ImagesResource, 'request' | 'createdAt'> & { pictures: Picture[] }

/** Tells what was drawn; every list has one entry for each image there is, which is less than all where it was interrupted. */
export async function toAnswer(
  { request, createdAt, pictures }: Drawn,
  { settled, parameters, sendsImages }: { settled: Settled; parameters: object; sendsImages: boolean },
): Promise<GenerationAnswer> {
  const { prompt, negativePrompt = '', seed } = request
  const { width, height } = parseSize(request.size)
  const infotexts = await Promise.all(pictures.map(({ bytes }) => readInfotext(bytes)))
  const told = pictures.flatMap(({ image }) => image.warnings ?? [])
  const each = <T>(value: T): T[] => pictures.map(() => value)
  const info = {
    prompt,
    all_prompts: each(prompt),
    negative_prompt: negativePrompt,
    all_negative_prompts: each(negativePrompt),
    seed,
    all_seeds: pictures.map(({ image }) => image.seed),
    subseed: -1,
    all_subseeds: each(-1),
    subseed_strength: 0,
    width,
    height,
    sampler_name: settled.sampler,
    cfg_scale: request.guidance,
    steps: request.steps,
    batch_size: settled.batchSize,
    restore_faces: false,
    face_restoration_model: null,
    sd_model_name: request.model,
    sd_model_hash: null,
    sd_vae_name: null,
    sd_vae_hash: null,
    seed_resize_from_w: -1,
    seed_resize_from_h: -1,
    denoising_strength: request.strength ?? null,
    extra_generation_params: { 'Schedule type': settled.schedule },
    index_of_first_image: 0,
    infotexts,
    styles: [],
    job_timestamp: timestampOf(Date.parse(createdAt)),
    clip_skip: 1,
    is_using_inpainting_conditioning: false,
    version: parseInfotext(infotexts[0] ?? '').Version ?? '',
    warnings: [...new Set([...settled.warnings, ...told])],
  }
  return {
    images: sendsImages ? pictures.map(({ bytes }) => bytes.toString('base64')) : [],
    parameters: { ...parameters },
    info: JSON.stringify(info),
  }
}
