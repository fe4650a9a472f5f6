import type { FloatTensor, GraphSession } from './graph-session.ts'
import type { Model } from './model.ts'
import { type Chunk, type ChunkedPrompt, chunkPrompt, emptyChunks } from './prompt-chunks.ts'

/** What the denoiser is told of the prompts. */
export type Conditioning = {
  /** Both encoders' token states side by side, [prompts, tokens, width 1 + width 2]. */
  context: FloatTensor
  /** Pooled, projected embedding of the second encoder, [prompts, projection]. */
  pooled: FloatTensor
}

/** Encodes prompts, all padded to as many chunks as the longest of them takes. */
export function encodePrompts(model: Model, prompts: string[]): Promise<Conditioning> {
  return encodeChunkedPrompts(
    model,
    prompts.map((prompt) => chunkPrompt(model, prompt)),
  )
}

/**
 * Encodes prompts with both CLIP encoders, as SDXL wants it: the hidden states before the last layer, joined, and the
 * second encoder's pooled embedding. Source: diffusers `StableDiffusionXLPipeline.encode_prompt`.
 * Each chunk is encoded by itself and their states are joined along the tokens; the pooled embedding is the first
 * chunk's. Source: AUTOMATIC1111, `FrozenCLIPEmbedderWithCustomWordsBase.forward`,
 * https://github.com/AUTOMATIC1111/stable-diffusion-webui/blob/00e09382cd85c77ac35545c7264855823dfc2eb1/modules/sd_hijack_clip.py
 */
export async function encodeChunkedPrompts(
  model: Model,
  prompts: ChunkedPrompt[],
  count = Math.max(...prompts.map(({ chunks }) => chunks.length)),
): Promise<Conditioning> {
  // A request for several pictures brings the same prompt several times.
  const unique = new Map(prompts.map((prompt) => [prompt.key, prompt]))
  const known = new Map<string, Conditioning>()
  const missing: ChunkedPrompt[] = []
  for (const [key, prompt] of unique) {
    const cached = model.embeddings.get(cacheKey(key, count))
    if (cached) known.set(key, cached)
    else missing.push(prompt)
  }
  if (missing.length > 0)
    for (const [i, conditioning] of (await encodeEach(model, missing, count)).entries()) {
      const { key } = missing[i]!
      model.embeddings.set(cacheKey(key, count), conditioning)
      known.set(key, conditioning)
    }
  const rows = prompts.map(({ key }) => known.get(key)!)
  return {
    context: joinRows(rows.map(({ context }) => context)),
    pooled: joinRows(rows.map(({ pooled }) => pooled)),
  }
}

const cacheKey = (key: string, count: number) => `${count} ${key}`

/** Runs the encoders once for all of the prompts; each gets a conditioning of one row. */
async function encodeEach(model: Model, prompts: ChunkedPrompt[], count: number): Promise<Conditioning[]> {
  const { textEncoder, textEncoder2 } = model.manifest
  const padded = prompts.flatMap(({ chunks }) => [...chunks, ...emptyChunks(model, count - chunks.length)])
  const first = await runEncoder(
    model.textEncoder,
    padded.map((chunk) => chunk.first),
    textEncoder,
  )
  const second = await runEncoder(
    model.textEncoder2,
    padded.map((chunk) => chunk.second),
    textEncoder2,
  )
  const joined = joinLastAxis(first.hidden!, second.hidden!)
  const context = { data: joined.data, dims: [prompts.length, count * joined.dims[1]!, joined.dims[2]!] }
  return prompts.map((_, i) => ({
    context: selectRows(context, [i]),
    pooled: selectRows(second.pooled!, [i * count]),
  }))
}

/** The embedding that stands for no negative prompt at all in models with `force_zeros_for_empty_prompt`. */
export function zerosLike({ context, pooled }: Conditioning): Conditioning {
  const zeros = ({ data, dims }: FloatTensor) => ({ data: new Float32Array(data.length), dims })
  return { context: zeros(context), pooled: zeros(pooled) }
}

async function runEncoder(
  session: GraphSession,
  chunks: Chunk[],
  { positions, eosTokenId }: { positions: number; eosTokenId: number },
): Promise<Record<string, FloatTensor>> {
  const ids = new Int32Array(chunks.length * positions)
  chunks.forEach((chunk, i) => {
    ids.set(chunk.ids, i * positions)
  })
  const rows = Int32Array.from(
    chunks,
    (chunk, i) => i * positions + findPooledPosition(chunk.ids, eosTokenId),
  )
  const outputs = await session.run({
    input_ids: { data: ids, dims: [chunks.length, positions] },
    pooled_rows: { data: rows, dims: [chunks.length] },
  })
  const hidden = outputs.hidden!
  const size = hidden.data.length / chunks.length
  chunks.forEach(({ weights }, i) => {
    if (weights) applyWeights(hidden.data.subarray(i * size, (i + 1) * size), weights)
  })
  return outputs
}

/**
 * Multiplies each token's states by its weight and scales the chunk so that its mean stays, in place.
 * Source: AUTOMATIC1111, `EmphasisOriginal`,
 * https://github.com/AUTOMATIC1111/stable-diffusion-webui/blob/f8391b8a8ff61bf7ebcddc9b387e6c2f206ed056/modules/sd_emphasis.py
 */
export function applyWeights(states: Float32Array, weights: Float32Array): void {
  const width = states.length / weights.length
  const sum = () => states.reduce((total, value) => total + value, 0)
  const before = sum()
  states.forEach((value, i) => {
    states[i] = value * weights[Math.floor(i / width)]!
  })
  const scale = before / sum()
  states.forEach((value, i) => {
    states[i] = value * scale
  })
}

/**
 * Position of the token that stands for the whole prompt. Configs with the legacy `eos_token_id` 2 pool at the largest
 * id, others at the first end-of-text token; source: transformers `CLIPTextTransformer.forward`.
 */
export function findPooledPosition(ids: Int32Array, eosTokenId: number): number {
  const LEGACY_EOS = 2
  if (eosTokenId === LEGACY_EOS) return ids.indexOf(ids.reduce((a, b) => Math.max(a, b)))
  return Math.max(0, ids.indexOf(eosTokenId))
}

function joinLastAxis(a: FloatTensor, b: FloatTensor): FloatTensor {
  const [widthA, widthB] = [a.dims.at(-1)!, b.dims.at(-1)!]
  const rows = a.data.length / widthA
  const width = widthA + widthB
  const data = new Float32Array(rows * width)
  for (let row = 0; row < rows; row++) {
    data.set(a.data.subarray(row * widthA, (row + 1) * widthA), row * width)
    data.set(b.data.subarray(row * widthB, (row + 1) * widthB), row * width + widthA)
  }
  return { data, dims: [...a.dims.slice(0, -1), width] }
}

/** Some rows of a tensor, in the order given and as often. */
export function selectRows(tensor: FloatTensor, rows: number[]): FloatTensor {
  const size = tensor.data.length / tensor.dims[0]!
  const data = new Float32Array(rows.length * size)
  rows.forEach((row, i) => {
    data.set(tensor.data.subarray(row * size, (row + 1) * size), i * size)
  })
  return { data, dims: [rows.length, ...tensor.dims.slice(1)] }
}

/** Rows of several tensors under each other; always a copy. */
export function joinRows(tensors: FloatTensor[]): FloatTensor {
  const rows = tensors.reduce((sum, { dims }) => sum + dims[0]!, 0)
  const data = new Float32Array(tensors.reduce((sum, tensor) => sum + tensor.data.length, 0))
  let offset = 0
  for (const tensor of tensors) {
    data.set(tensor.data, offset)
    offset += tensor.data.length
  }
  return { data, dims: [rows, ...tensors[0]!.dims.slice(1)] }
}
