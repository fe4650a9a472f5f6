import { setTimeout as sleep } from 'node:timers/promises'

type Entry<Input, Output> = { input: Input; resolve(output: Output): void; reject(error: unknown): void }

export type Batcher<Input, Output> = {
  submit(input: Input): Promise<Output>
  /** Rejects with `reason` what has not begun, now and later; what runs goes on. */
  stop(reason: Error): void
}

/**
 * Groups concurrent calls into calls of `run`, one at a time, up to `maxSize` inputs of one group each.
 * Pulls: a batch is formed when `run` is free, not when a timer fires, so a busy engine fills its next batch.
 * The oldest input chooses the group, so that a rare one waits its turn and never longer.
 * `windowMs` is how long a short batch waits for company.
 */
export function createBatcher<Input, Output>(
  run: (inputs: Input[]) => Promise<Output[]>,
  {
    maxSize,
    maxSizeOf = () => maxSize,
    windowMs,
    groupOf,
  }: {
    maxSize: number
    /** How many inputs like this one a batch may have, where that is less. */
    maxSizeOf?: (input: Input) => number
    windowMs: number
    groupOf: (input: Input) => string
  },
): Batcher<Input, Output> {
  let waiting: Entry<Input, Output>[] = []
  let draining = false
  let stopped: Error | undefined

  async function drain(): Promise<void> {
    draining = true
    while (waiting.length > 0) {
      if (next().length < sizeOf(waiting[0]!)) await sleep(windowMs)
      const batch = next()
      waiting = waiting.filter((entry) => !batch.includes(entry))
      if (batch.length > 0) await settle(batch)
    }
    draining = false
  }

  function next(): Entry<Input, Output>[] {
    const [oldest] = waiting
    if (!oldest) return []
    const group = groupOf(oldest.input)
    return waiting.filter((entry) => groupOf(entry.input) === group).slice(0, sizeOf(oldest))
  }

  function sizeOf({ input }: Entry<Input, Output>): number {
    return Math.min(maxSize, maxSizeOf(input))
  }

  async function settle(batch: Entry<Input, Output>[]): Promise<void> {
    try {
      const outputs = await run(batch.map((entry) => entry.input))
      if (outputs.length !== batch.length)
        throw new Error(`run returned ${outputs.length} outputs for ${batch.length} inputs. This is a bug.`)
      for (const [i, entry] of batch.entries()) entry.resolve(outputs[i]!)
    } catch (error) {
      for (const entry of batch) entry.reject(error)
    }
  }

  return {
    submit: (input) =>
      new Promise((resolve, reject) => {
        if (stopped) return reject(stopped)
        waiting.push({ input, resolve, reject })
        if (!draining) void drain()
      }),
    stop(reason) {
      stopped = reason
      // Youngest first: each goes to the front of the queue, where the oldest then ends up first again.
      for (const entry of waiting.toReversed()) entry.reject(reason)
      waiting = []
    },
  }
}
