import { expect, it } from 'vitest'
import { createMemoryTable, readMemoryLimit } from './memory.ts'

const MEGA = 2 ** 20

it('takes the lowest limit there is', () => {
  expect(readMemoryLimit((file) => (file.endsWith('memory.max') ? `${512 * MEGA}\n` : undefined))).toBe(
    512 * MEGA,
  )
  expect(readMemoryLimit((file) => (file.endsWith('in_bytes') ? `${256 * MEGA}\n` : undefined))).toBe(
    256 * MEGA,
  )
  const unlimited = readMemoryLimit((file) => (file.endsWith('memory.max') ? 'max\n' : undefined))
  expect(unlimited).toBe(readMemoryLimit(() => undefined))
})

it('admits what fits by the highest memory a pixel it has seen, with caution', async () => {
  let rss = 100 * MEGA
  const table = createMemoryTable({ limitBytes: 1000 * MEGA, rssBytes: () => rss })
  expect(table.maxImages(512 * 512)).toBe(Infinity) // nothing is known yet
  await table.measure({ pixels: 512 * 512, images: 2 }, async () => {
    rss = 300 * MEGA // 100 an image
  })
  // (1000 - 50 - 100) / (100 * 1.25) = 6.8
  expect(table.maxImages(512 * 512)).toBe(6)
  expect(table.maxImages(1024 * 1024)).toBe(1)
  expect(table.maxImages(2048 * 1024)).toBe(0)
  rss = 100 * MEGA
  await table.measure({ pixels: 512 * 512, images: 1 }, async () => {
    rss = 150 * MEGA // less: not believed
  })
  expect(table.maxImages(512 * 512)).toBe(6)
})

it('sees the most that was in use while it drew, and learns from what failed too', async () => {
  let rss = 100 * MEGA
  const table = createMemoryTable({ limitBytes: 1000 * MEGA, rssBytes: () => rss })
  const failing = table.measure({ pixels: 512 * 512, images: 1 }, async () => {
    rss = 440 * MEGA
    await new Promise((resolve) => setTimeout(resolve, 150))
    rss = 100 * MEGA
    throw new Error('out of memory')
  })
  await expect(failing).rejects.toThrow('out of memory')
  expect(table.maxImages(512 * 512)).toBe(2)
})
