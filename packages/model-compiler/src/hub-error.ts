/** A repository cannot be downloaded. The message is one sentence for the person who asked, with what to do. */
export class HubError extends Error {
  override name = 'HubError'
}

/** The hub could not be reached, or kept failing, for as long as we tried. A copy on disk may do instead. */
export class HubUnreachableError extends HubError {
  override name = 'HubUnreachableError'
}

/** A fault that may be gone the next time; ends up as `HubUnreachableError` when it stays. */
export class TransientError extends Error {
  override name = 'TransientError'
  /** What the server asked for by Retry-After. */
  readonly retryAfterMs: number
  constructor(message: string, { retryAfterMs = 0, cause }: { retryAfterMs?: number; cause?: unknown } = {}) {
    super(message, { cause })
    this.retryAfterMs = retryAfterMs
  }
}
