import { parseEmphasis, type Weighted } from './emphasis.ts'
import type { Tokenizer } from './tokenizer.ts'

/** One run of a text encoder: start, up to 75 tokens, end, padding. */
export type Chunk = {
  ids: Int32Array
  /** One a position; absent where all are 1. */
  weights?: Float32Array
}

/** A prompt cut into what the text encoders can read at once, for each of the two. */
export type ChunkedPrompt = {
  /** Equal for equal prompts. */
  key: string
  chunks: { first: Chunk; second: Chunk }[]
  /** Tokens of the whole prompt, without start and end. */
  tokenCount: number
}

type Tokenizers = { tokenizer: Tokenizer; tokenizer2: Tokenizer }

/**
 * Cuts a prompt into chunks of 75 tokens, as AUTOMATIC1111 does with its "prompt word wrap length limit" at 0: a chunk
 * is full before the next begins, even within a phrase. With `emphasis` brackets weigh words rather than being words.
 */
export function chunkPrompt(
  { tokenizer, tokenizer2 }: Tokenizers,
  prompt: string,
  { emphasis = false }: { emphasis?: boolean } = {},
): ChunkedPrompt {
  const parts = emphasis ? parseEmphasis(prompt) : [{ text: prompt, weight: 1 }]
  const first = cut(tokenizer, parts)
  const second = cut(tokenizer2, parts)
  const count = Math.max(first.chunks.length, second.chunks.length)
  return {
    key: JSON.stringify([emphasis, prompt]),
    chunks: Array.from({ length: count }, (_, i) => ({
      first: first.chunks[i] ?? emptyChunk(tokenizer),
      second: second.chunks[i] ?? emptyChunk(tokenizer2),
    })),
    tokenCount: Math.max(first.tokenCount, second.tokenCount),
  }
}

/** Chunks of no tokens, which prompts are padded with to the length of others. */
export function emptyChunks(
  { tokenizer, tokenizer2 }: Tokenizers,
  count: number,
): { first: Chunk; second: Chunk }[] {
  return Array.from({ length: count }, () => ({
    first: emptyChunk(tokenizer),
    second: emptyChunk(tokenizer2),
  }))
}

const emptyChunk = (tokenizer: Tokenizer): Chunk => ({ ids: tokenizer.frame([]) })

function cut(tokenizer: Tokenizer, parts: Weighted[]): { chunks: Chunk[]; tokenCount: number } {
  const tokens = parts.flatMap(({ text, weight }) => tokenizer.tokenize(text).map((id) => ({ id, weight })))
  const chunks: Chunk[] = []
  for (let start = 0; start === 0 || start < tokens.length; start += tokenizer.chunkSize) {
    const part = tokens.slice(start, start + tokenizer.chunkSize)
    const ids = tokenizer.frame(part.map(({ id }) => id))
    if (part.every(({ weight }) => weight === 1)) chunks.push({ ids })
    else {
      const weights = new Float32Array(ids.length).fill(1)
      // Position 0 is the start token.
      weights.set(
        part.map(({ weight }) => weight),
        1,
      )
      chunks.push({ ids, weights })
    }
  }
  return { chunks, tokenCount: tokens.length }
}
