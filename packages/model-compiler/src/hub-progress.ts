import type { CompileProgress } from './compile.ts'

export type ProgressOptions = {
  /** `owner/name` */
  id: string
  total: number
  everyMs: number
  onProgress?: (progress: CompileProgress) => void
  now?: () => number
}

const WINDOW_MS = 15_000 // long enough to be steady, short enough to follow a change

/** Reports bytes, rate and time left, at most once in `everyMs`. Bytes that were there before do not count as speed. */
export function createDownloadProgress(options: ProgressOptions): (done: number) => void {
  const { id, total, everyMs, onProgress, now = () => performance.now() } = options
  const samples: { at: number; done: number }[] = []
  let saidAt = Number.NEGATIVE_INFINITY
  return (done) => {
    const at = now()
    if (at - saidAt < everyMs && done < total) return
    saidAt = at
    // A file that starts again makes the count fall; what was measured before is then worth nothing.
    if ((samples.at(-1)?.done ?? 0) > done) samples.length = 0
    samples.push({ at, done })
    while (samples.length > 2 && at - samples[0]!.at > WINDOW_MS) samples.shift()
    const first = samples[0]!
    const bytesPerMs = at > first.at ? (done - first.done) / (at - first.at) : 0
    const speed = bytesPerMs > 0 ? `, ${formatBytes(bytesPerMs * 1000)}/s` : ''
    const left = bytesPerMs > 0 && done < total ? `, ${formatTime((total - done) / bytesPerMs)} left` : ''
    onProgress?.({
      message: `Downloading ${id}: ${formatBytes(done)} of ${formatBytes(total)}${speed}${left}`,
      done,
      total,
    })
  }
}

/** `6.94 GB`, `335 MB`, `1.1 MB`, `704 B`: three digits, as the hub's pages write sizes. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)))
  const value = bytes / 1000 ** power
  const digits = power === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${value.toFixed(digits)} ${units[power]}`
}

function formatTime(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60
    ? `${minutes} min ${seconds % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
