import { expect, it } from 'vitest'
import { createDownloadProgress, formatBytes } from './hub-progress.ts'

function record(total: number) {
  const messages: string[] = []
  let ms = 0
  const report = createDownloadProgress({
    id: 'owner/name',
    total,
    everyMs: 1000,
    onProgress: ({ message }) => messages.push(message),
    now: () => ms,
  })
  const at = (now: number, done: number) => {
    ms = now
    report(done)
  }
  return { messages, at }
}

it('counts as speed only what came now, not what was there before', () => {
  const { messages, at } = record(6.94e9)
  at(0, 1e9)
  at(500, 1.05e9)
  at(2000, 1.2e9)
  expect(messages).toEqual([
    'Downloading owner/name: 1.00 GB of 6.94 GB',
    'Downloading owner/name: 1.20 GB of 6.94 GB, 100 MB/s, 57 s left',
  ])
})

it('follows a change of speed', () => {
  const { messages, at } = record(10e9)
  for (let second = 0; second <= 20; second++) at(second * 1000, second * 100e6)
  for (let second = 1; second <= 20; second++) at((20 + second) * 1000, 2000e6 + second * 1e6)
  expect(messages.at(-1)).toBe('Downloading owner/name: 2.02 GB of 10.0 GB, 1.00 MB/s, 2 h 13 min left')
})

it('measures anew when a file starts again', () => {
  const { messages, at } = record(1000e6)
  at(0, 0)
  at(1000, 400e6)
  at(2000, 100e6)
  expect(messages.at(-1)).toBe('Downloading owner/name: 100 MB of 1.00 GB')
})

it.each([
  [0, '0 B'],
  [704, '704 B'],
  [1_060_000, '1.06 MB'],
  [335_000_000, '335 MB'],
  [13_880_000_000, '13.9 GB'],
])('writes %i bytes as %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})
