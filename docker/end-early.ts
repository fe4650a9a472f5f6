// Preloaded by the images (`node --import`). The kernel ends no process 1 by a signal that it does not listen for, so
// one that came while an app's modules still load would be lost, and the container killed after its whole grace.
import { constants } from 'node:os'
import { isMainThread } from 'node:worker_threads'

if (isMainThread) for (const signal of ['SIGTERM', 'SIGINT'] as const) endBy(signal)

/** Ends the process at `signal` unless the app listens by then; from then on it is the app's. */
function endBy(signal: 'SIGTERM' | 'SIGINT'): void {
  const end = () => {
    if (process.listenerCount(signal) === 1) process.exit(128 + constants.signals[signal])
    process.off(signal, end)
  }
  process.on(signal, end)
}
