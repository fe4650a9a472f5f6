import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'

const SAMPLE_MS = 50
const CGROUP_FILES = ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes']
const CAUTION = 1.25 // what a shape never drawn may need beyond what the drawn ones suggest
const KEPT_FREE_SHARE = 0.05 // of the limit: for what is not the engine's

/** Bytes this process may use: the container's limit, or the machine's memory. */
export function readMemoryLimit(read = readText): number {
  const limits = CGROUP_FILES.map((file) => Number(read(file)?.trim() || Number.NaN))
  return Math.min(totalmem(), ...limits.filter((limit) => Number.isFinite(limit)))
}

export type MemoryTable = {
  /** Runs `work` and learns from the most memory that was in use meanwhile. */
  measure<T>(shape: { pixels: number; images: number }, work: () => Promise<T>): Promise<T>
  /** Images of so many pixels that fit into a batch; 0 when not even one does. */
  maxImages(pixels: number): number
  /** Pixels of the largest single image that fits. */
  maxPixels(): number
}

/**
 * Knows how much memory drawing takes, from what it has measured: the model itself, and on top of it a number of bytes
 * a pixel of a batch, the highest that was seen.
 */
export function createMemoryTable({
  limitBytes,
  rssBytes = () => process.memoryUsage.rss(),
}: {
  limitBytes: number
  rssBytes?: () => number
}): MemoryTable {
  const idleBytes = rssBytes()
  let bytesPerPixel = 0

  function affordablePixels(): number {
    const room = limitBytes * (1 - KEPT_FREE_SHARE) - idleBytes
    return bytesPerPixel === 0 ? Infinity : Math.max(0, room) / (bytesPerPixel * CAUTION)
  }

  return {
    async measure({ pixels, images }, work) {
      let peak = rssBytes()
      const timer = setInterval(() => {
        peak = Math.max(peak, rssBytes())
      }, SAMPLE_MS)
      try {
        return await work()
      } finally {
        clearInterval(timer)
        peak = Math.max(peak, rssBytes())
        bytesPerPixel = Math.max(bytesPerPixel, (peak - idleBytes) / (pixels * images))
      }
    },
    maxImages: (pixels) => Math.floor(affordablePixels() / pixels),
    maxPixels: () => Math.floor(affordablePixels()),
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
