/** How a cache fared since it was made. */
export type CacheStats = { hits: number; misses: number; entries: number; bytes: number; maxBytes: number }

/** Keeps what was used last, within a number of bytes. */
export type ByteCache<Value> = {
  get(key: string): Value | undefined
  set(key: string, value: Value): void
  stats(): CacheStats
}

/** @param bytesOf size of a value; one larger than `maxBytes` is not kept */
export function createByteCache<Value>(
  maxBytes: number,
  bytesOf: (value: Value) => number,
): ByteCache<Value> {
  // A map keeps insertion order: what is used goes to its end, what is dropped is taken from its front.
  const entries = new Map<string, Value>()
  let bytes = 0
  let hits = 0
  let misses = 0

  function drop(key: string): void {
    const value = entries.get(key)
    if (value !== undefined) bytes -= bytesOf(value)
    entries.delete(key)
  }

  return {
    get(key) {
      const value = entries.get(key)
      if (value === undefined) {
        misses++
        return undefined
      }
      hits++
      entries.delete(key)
      entries.set(key, value)
      return value
    },
    set(key, value) {
      drop(key)
      if (bytesOf(value) > maxBytes) return
      entries.set(key, value)
      bytes += bytesOf(value)
      for (const oldest of entries.keys()) {
        if (bytes <= maxBytes) break
        drop(oldest)
      }
    },
    stats: () => ({ hits, misses, entries: entries.size, bytes, maxBytes }),
  }
}
