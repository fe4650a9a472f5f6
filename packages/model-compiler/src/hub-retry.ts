import { setTimeout as sleep } from 'node:timers/promises'
import { HubUnreachableError, TransientError } from './hub-error.ts'
import type { HubTiming } from './hub-options.ts'

export type RetryOptions = {
  timing: HubTiming
  /** What is asked for, in messages. */
  what: string
  /** Says, before each pause, what went wrong and when it goes on. */
  onNote: (message: string) => void
  /** True when the failed try brought something new, so that it does not count against the limit. */
  hasAdvanced?: () => boolean
  signal?: AbortSignal
}

/**
 * Tries until it works, with exponential pauses, each drawn at random from its upper half so that many workers do not
 * come back together, and never shorter than the server asks for.
 * @throws HubUnreachableError after `timing.attempts` failures in a row
 */
export async function retry<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { timing, what, onNote, hasAdvanced, signal } = options
  for (let failures = 0; ; ) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof TransientError)) throw error
      failures = hasAdvanced?.() ? 1 : failures + 1
      const { message, retryAfterMs } = error
      if (failures >= timing.attempts)
        throw new HubUnreachableError(
          `${what}: ${message}, ${failures} times in a row; check the network, HF_ENDPOINT and HTTPS_PROXY, or try again later`,
          { cause: error },
        )
      if (retryAfterMs > timing.maxRetryAfterMs)
        throw new HubUnreachableError(
          `${what}: ${message}, and asks to wait ${seconds(retryAfterMs)}; the limit is ${seconds(timing.maxRetryAfterMs)}. Try again later`,
          { cause: error },
        )
      const waitMs = Math.max(retryAfterMs, backoff(failures, timing))
      onNote(
        `${what}: ${message}; trying again in ${seconds(waitMs)} (failure ${failures} of ${timing.attempts})`,
      )
      await sleep(waitMs, undefined, { signal })
    }
  }
}

function backoff(failures: number, { backoffMs, maxBackoffMs }: HubTiming): number {
  const longest = Math.min(maxBackoffMs, backoffMs * 2 ** (failures - 1))
  return longest * (0.5 + Math.random() / 2)
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`

/** Reads Retry-After, seconds or a date, as milliseconds from now; 0 where it says nothing. */
export function readRetryAfter(value: string | undefined, now = Date.now()): number {
  if (!value) return 0
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now
  return Number.isFinite(ms) ? Math.max(0, ms) : 0
}
