import type { FloatTensor, GraphSession } from './graph-session.ts'
import type { Model } from './model.ts'
import type { Tokens } from './tokenizer.ts'

/** What the denoiser is told of the prompts. */
export type Conditioning = {
  /** Both encoders' token states side by side, [prompts, tokens, width 1 + width 2]. */
  context: FloatTensor
  /** Pooled, projected embedding of the second encoder, [prompts, projection]. */
  pooled: FloatTensor
}

/**
 * Encodes prompts with both CLIP encoders, as SDXL wants it: the hidden states before the last layer, joined, and the
 * second encoder's pooled embedding. Source: diffusers `StableDiffusionXLPipeline.encode_prompt`.
 */
export async function encodePrompts(model: Model, prompts: string[]): Promise<Conditioning> {
  // A request for several pictures brings the same prompt several times.
  const unique = [...new Set(prompts)]
  const { textEncoder, textEncoder2 } = model.manifest
  const tokens = unique.map((prompt) => model.tokenizer.encode(prompt))
  const tokens2 = unique.map((prompt) => model.tokenizer2.encode(prompt))
  const first = await runEncoder(model.textEncoder, tokens, textEncoder)
  const second = await runEncoder(model.textEncoder2, tokens2, textEncoder2)
  const rows = prompts.map((prompt) => unique.indexOf(prompt))
  return {
    context: selectRows(joinLastAxis(first.hidden!, second.hidden!), rows),
    pooled: selectRows(second.pooled!, rows),
  }
}

function runEncoder(
  session: GraphSession,
  tokens: Tokens[],
  { positions, eosTokenId }: { positions: number; eosTokenId: number },
): Promise<Record<string, FloatTensor>> {
  const ids = new Int32Array(tokens.length * positions)
  tokens.forEach((prompt, i) => {
    ids.set(prompt.ids, i * positions)
  })
  const rows = Int32Array.from(
    tokens,
    (prompt, i) => i * positions + findPooledPosition(prompt.ids, eosTokenId),
  )
  return session.run({
    input_ids: { data: ids, dims: [tokens.length, positions] },
    pooled_rows: { data: rows, dims: [tokens.length] },
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

function selectRows(tensor: FloatTensor, rows: number[]): FloatTensor {
  const size = tensor.data.length / tensor.dims[0]!
  const data = new Float32Array(rows.length * size)
  rows.forEach((row, i) => {
    data.set(tensor.data.subarray(row * size, (row + 1) * size), i * size)
  })
  return { data, dims: [rows.length, ...tensor.dims.slice(1)] }
}
