import { readFileSync } from 'node:fs'
import { startEngine } from '@sdcpu/diffusion'
import { median } from './stage.ts'

export const GROWTH_LIMIT_BYTES = 100e6

// Memory settles in the first pictures: allocators keep what they will need again.
const SETTLING_SHARE = 0.1
const WINDOW_SHARE = 0.1

/** How much more memory the last pictures' median has than that of the first after settling. */
export function findGrowth(rssBytes: number[]): number {
  const size = Math.max(1, Math.floor(rssBytes.length * WINDOW_SHARE))
  const settled = Math.min(Math.floor(rssBytes.length * SETTLING_SHARE), rssBytes.length - size)
  return median(rssBytes.slice(-size)) - median(rssBytes.slice(settled, settled + size))
}

const readRss = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024

/** Draws pictures one after another with one engine and gives this process's memory after each. */
export async function soak({
  modelDir,
  threads,
  pictures,
  width,
  height,
  onPicture,
}: {
  modelDir: string
  threads: number
  pictures: number
  width: number
  height: number
  onPicture: (count: number, rssBytes: number) => void
}): Promise<number[]> {
  const engine = await startEngine({ modelDir, threads })
  try {
    const rssBytes: number[] = []
    for (let i = 0; i < pictures; i++) {
      // Other prompts and seeds each time, as a service gets them.
      await engine.generate([{ prompt: `a red fox, number ${i}`, seed: i, width, height, steps: 1 }])
      rssBytes.push(readRss())
      onPicture(i + 1, rssBytes.at(-1)!)
    }
    return rssBytes
  } finally {
    await engine.close()
  }
}
