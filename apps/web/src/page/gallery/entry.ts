import type { Image, ImagesResource } from '@sdcpu/contract'
import { type Draft, EMPTY_DRAFT } from '../draft/read-draft.ts'
import { isTerminal } from '../progress.ts'

/** A request made in this browser, as it was last seen, and which of its pictures are kept here. */
export type Entry = {
  id: string
  /** By this machine's clock, which may differ from the API's. */
  startedAtMs: number
  /** When it was first seen to be drawn. */
  runningSinceMs?: number
  endedAtMs?: number
  resource: ImagesResource
  /** Indexes of the pictures whose bytes are in this browser. */
  kept: number[]
  /** The API has forgotten the request, so nothing will be heard of it any more. */
  isForgotten?: boolean
}

/** One picture of the gallery. */
export type PictureRef = { entry: Entry; image: Image }

/** Makes an entry of the answer to a request. */
export function toEntry(resource: ImagesResource, startedAtMs: number): Entry {
  return { id: resource.id, startedAtMs, resource, kept: [] }
}

/** True when there is nothing left to ask the API: it is over, and every picture it still had is kept here. */
export function isSettled(entry: Entry): boolean {
  return entry.isForgotten === true || (isTerminal(entry.resource.status) && missing(entry).length === 0)
}

/** Pictures that are drawn but not kept here yet. */
export function missing({ resource, kept }: Entry): (Image & { url: string })[] {
  return resource.images.flatMap((image) =>
    image.status === 'succeeded' && image.url && !kept.includes(image.index)
      ? [{ ...image, url: image.url }]
      : [],
  )
}

/** The kept pictures of these entries, in the order they are shown. */
export function picturesOf(entries: Entry[]): PictureRef[] {
  return entries.flatMap((entry) =>
    entry.resource.images
      .filter((image) => entry.kept.includes(image.index))
      .map((image) => ({ entry, image })),
  )
}

/** A key of one picture, for lists and selections. */
export function pictureKey({ entry, image }: PictureRef): string {
  return `${entry.id}/${image.index}`
}

/** A form filled in so that it draws this request again; with `image`, that one picture of it. */
export function toDraft({ resource: { request, images } }: Entry, image?: Image): Draft {
  return {
    ...EMPTY_DRAFT,
    prompt: request.prompt,
    seed: String(image?.seed ?? request.seed),
    n: image ? 1 : images.length,
    size: request.size,
    steps: request.steps,
    model: request.model,
    sampler: request.sampler ?? '',
    guidance: request.guidance,
    negativePrompt: request.negativePrompt ?? '',
    strength: request.strength,
  }
}

/** A name for a file that says what is in it: the first words of the prompt, and the seed that draws it again. */
export function fileName(prompt: string, seed: number, mediaType: string): string {
  const words = prompt.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ['picture']
  const extension = /^image\/(png|jpeg|webp)$/.exec(mediaType)?.[1] ?? 'png'
  return `${words.slice(0, 6).join('-')}-${seed}.${extension === 'jpeg' ? 'jpg' : extension}`
}
