import { readFileSync } from 'node:fs'

/** Most memory this process ever had. `getrusage` would also count what its parent had when it was forked. */
export function readPeakRss(): number {
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  if (!kibibytes) throw new Error('/proc/self/status has no VmHWM; memory is measured on Linux only')
  return Number(kibibytes) * 1024
}
