import { createHash } from 'node:crypto'
import { type ByteCache, createByteCache } from './byte-cache.ts'
import { joinRows, selectRows } from './encode-prompts.ts'
import type { FloatTensor, GraphSession } from './graph-session.ts'

/** Keys and values of every cross-attention, by the name of the layer that makes them, [prompts, tokens, channels]. */
export type PromptKeys = Record<string, FloatTensor>

export type PromptKeysCache = ByteCache<PromptKeys>

/** Holds one prompt's keys and values an entry: 51 MB for a full-size SDXL. */
export function createPromptKeysCache(maxBytes: number): PromptKeysCache {
  return createByteCache(maxBytes, (keys) =>
    Object.values(keys).reduce((sum, { data }) => sum + data.byteLength, 0),
  )
}

/**
 * Computes the keys and values that a denoiser attends to for each row of `context` [prompts, tokens, width], or takes
 * them from the cache, where they lie by the row's content.
 */
export async function computePromptKeys(
  { context: graph, promptKeys: cache }: { context: GraphSession; promptKeys: PromptKeysCache },
  context: FloatTensor,
): Promise<PromptKeys> {
  const rows = Array.from({ length: context.dims[0]! }, (_, row) => selectRows(context, [row]))
  const hashes = rows.map(({ data }) => hashOf(data))
  const found = new Map<string, PromptKeys>()
  for (const [i, hash] of hashes.entries()) {
    if (found.has(hash)) continue
    const keys = cache.get(hash) ?? (await graph.run({ context: rows[i]! }))
    cache.set(hash, keys)
    found.set(hash, keys)
  }
  return join(hashes.map((hash) => found.get(hash)!))
}

function hashOf(values: Float32Array): string {
  return createHash('sha256')
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest('base64')
}

/** One prompt's keys are given as they are: for one picture nothing is copied. */
function join(parts: PromptKeys[]): PromptKeys {
  const [first] = parts
  if (parts.length === 1) return first!
  return Object.fromEntries(
    Object.keys(first!).map((name) => [name, joinRows(parts.map((part) => part[name]!))]),
  )
}

/** Keys and values of some prompts, in the order given. */
export function selectPromptKeys(keys: PromptKeys, rows: number[]): PromptKeys {
  return Object.fromEntries(Object.entries(keys).map(([name, tensor]) => [name, selectRows(tensor, rows)]))
}
