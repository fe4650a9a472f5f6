export type Recent<Value> = {
  /** What was answered a moment ago, or is asked for already. */
  get(of: string): Promise<Value>
  /** What is answered now. */
  ask(of: string): Promise<Value>
}

/**
 * Remembers answers for `maxAgeMs`, so that many who want to know cost one question. Errors are not remembered, nor answers
 * that `isLasting` says no to.
 */
export function createRecent<Value>(
  question: (of: string) => Promise<Value>,
  { maxAgeMs, isLasting = () => true }: { maxAgeMs: number; isLasting?: (value: Value) => boolean },
): Recent<Value> {
  const newest = new Map<string, { at: number; answer: Promise<Value> }>()

  function ask(of: string): Promise<Value> {
    const entry = { at: performance.now(), answer: question(of) }
    const forget = () => {
      if (newest.get(of) === entry) newest.delete(of)
    }
    newest.set(of, entry)
    entry.answer.then((value) => isLasting(value) || forget(), forget)
    return entry.answer
  }

  return {
    ask,
    get(of) {
      const known = newest.get(of)
      return known && performance.now() - known.at < maxAgeMs ? known.answer : ask(of)
    },
  }
}
