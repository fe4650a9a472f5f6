import { type Conditioning, encodeChunkedPrompts, zerosLike } from './encode-prompts.ts'
import type { ImageInput, TokenCounts } from './engine.ts'
import type { Model } from './model.ts'
import { type ChunkedPrompt, chunkPrompt } from './prompt-chunks.ts'

/** Images whose prompts take equally many chunks, so that one run of the denoiser can hold them. */
export type ConditioningGroup = {
  /** Places of its images in the batch. */
  images: number[]
  /** One row an image. */
  positive: Conditioning
  /** What guidance leads away from, one row an image; absent without guidance. */
  negative?: Conditioning
}

export type EncodedBatch = {
  groups: ConditioningGroup[]
  /** Tokens of each image's prompts; the negative prompt's only where it is used. */
  tokenCounts: TokenCounts[]
}

type PromptInput = Pick<ImageInput, 'prompt' | 'negativePrompt' | 'emphasis'>
type ChunkedPair = { positive: ChunkedPrompt; negative: ChunkedPrompt | undefined }

/**
 * Encodes a batch's prompts and, with guidance, its negative prompts. An image's two prompts are padded to the same
 * number of chunks, but never to that of its batch mates, which would change it.
 */
export async function encodeBatch(
  model: Model,
  inputs: PromptInput[],
  { guided }: { guided: boolean },
): Promise<EncodedBatch> {
  const pairs = inputs.map((input) => chunkPair(model, input, guided))
  const groups: ConditioningGroup[] = []
  for (const [count, images] of groupByLength(pairs))
    groups.push(await encodeGroup(model, images, pairs, { count, guided }))
  const tokenCounts = pairs.map(({ positive, negative }) => ({
    prompt: positive.tokenCount,
    ...(negative && { negativePrompt: negative.tokenCount }),
    chunks: chunkCount({ positive, negative }),
  }))
  return { groups, tokenCounts }
}

/** An absent negative prompt stays absent where the model wants zeros for it; diffusers tells it from an empty one. */
function chunkPair(model: Model, input: PromptInput, guided: boolean): ChunkedPair {
  const { prompt, emphasis = false } = input
  const negativePrompt = input.negativePrompt ?? (model.manifest.forceZerosForEmptyPrompt ? undefined : '')
  return {
    positive: chunkPrompt(model, prompt, { emphasis }),
    negative:
      guided && negativePrompt !== undefined ? chunkPrompt(model, negativePrompt, { emphasis }) : undefined,
  }
}

function groupByLength(pairs: ChunkedPair[]): Map<number, number[]> {
  return Map.groupBy(pairs.keys(), (image) => chunkCount(pairs[image]!))
}

const chunkCount = ({ positive, negative }: ChunkedPair) =>
  Math.max(positive.chunks.length, negative?.chunks.length ?? 0)

async function encodeGroup(
  model: Model,
  images: number[],
  pairs: ChunkedPair[],
  { count, guided }: { count: number; guided: boolean },
): Promise<ConditioningGroup> {
  const members = images.map((image) => pairs[image]!)
  const positive = await encodeChunkedPrompts(
    model,
    members.map((member) => member.positive),
    count,
  )
  if (!guided) return { images, positive }
  const negatives = members.flatMap(({ negative }) => negative ?? [])
  const encoded = negatives.length > 0 ? await encodeChunkedPrompts(model, negatives, count) : undefined
  return { images, positive, negative: fillIn(positive, encoded, members) }
}

/** Rows of the negative prompts there are, and zeros for the others. */
function fillIn(
  positive: Conditioning,
  encoded: Conditioning | undefined,
  members: ChunkedPair[],
): Conditioning {
  const result = zerosLike(positive)
  let row = 0
  members.forEach(({ negative }, i) => {
    if (!negative || !encoded) return
    for (const name of ['context', 'pooled'] as const) {
      const size = result[name].data.length / members.length
      result[name].data.set(encoded[name].data.subarray(row * size, (row + 1) * size), i * size)
    }
    row++
  })
  return result
}
