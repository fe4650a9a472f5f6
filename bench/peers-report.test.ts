import { describe, expect, it } from 'vitest'
import { formatPeers, writeBetweenMarkers } from './peers-report.ts'
import { median, planWork, shareOfSingles } from './stage.ts'

const [unet] = planWork({ stages: ['unet'], batches: [1], steps: [1], width: 512, height: 512 })
const measured = (engine: string, seconds: number[], peakRssBytes: number, day = '2026-11-22') => ({
  ...unet!,
  ...{ engine, seconds, peakRssBytes, threads: 2, loadSeconds: 1, measuredAt: `${day}T10:00:00Z` },
})
const cpu = { name: 'Some CPU', flags: ['avx2', 'fma'] }

describe('formatPeers', () => {
  it('puts best times side by side and says how many times faster ours was in turns', () => {
    const turns = { ours: [2, 4, 3], peer: [10, 8, 9], measuredAt: '2026-11-24T10:00:00Z' }
    const table = formatPeers(
      [measured('ours fp32', [2.5, 2, 3], 3e9), { ...measured('torch-fp32', [8, 9], 15.94e9), turns }],
      { cpu, model: 'sdxl' },
    )
    expect(table.split('\n')).toEqual([
      'Some CPU, avx2 fma; 2 threads, model sdxl, 512x512, 2026-11-22 to 2026-11-24.',
      'Best of the timed runs of an engine alone, and its peak memory; in brackets, how many times faster ours is, by the medians of runs in turns: ours, the other, ours, the other.',
      '',
      '| work | ours fp32 | torch-fp32 |',
      '|---|---|---|',
      '| unet-b1 | 2 s, 3.00 GB | 8 s (3.00x), 15.94 GB |',
    ])
  })

  it('marks a ratio of best times, where no turns were measured', () => {
    const table = formatPeers(
      [measured('ours fp32', [2.5, 2, 3], 3e9), measured('torch-fp32', [8, 9], 15.94e9, '2026-11-23')],
      { cpu, model: 'sdxl' },
    )
    expect(table.split('\n').slice(-3)).toEqual([
      '| unet-b1 | 2 s, 3.00 GB | 8 s (4.00x*), 15.94 GB |',
      '',
      'A ratio with * is of the best times, measured apart: the two do not fit into the memory together.',
    ])
  })

  it('says as what the CPU stands in, and nothing of ratios that it does not give', () => {
    const table = formatPeers([measured('ours int8', [2], 3e9)], { cpu, mask: 'avx2', model: 'sdxl' })
    expect(table).toMatch(/^Some CPU, avx2 fma, masked to avx2; 2 threads/)
    expect(table).toMatch(/\| unet-b1 \| 2 s, 3\.00 GB \|$/)
  })
})

describe('writeBetweenMarkers', () => {
  const page = (text: string) =>
    `before\n<!-- peers: written by npm run bench -- --peers -->${text}<!-- end of peers -->\nafter`

  it('changes what stands between the markers and nothing else', () => {
    expect(writeBetweenMarkers(page('\nold\n'), 'new')).toBe(page('\n\nnew\n\n'))
  })

  it('refuses a page without them', () => {
    expect(() => writeBetweenMarkers('# Page', 'new')).toThrow('the report needs two lines to write between')
  })
})

it('takes the mean of the two in the middle of an even number', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([10, 1, 4, 2])).toBe(3)
})

it('compares a batch with as many single images, by what was measured in turns', () => {
  expect(shareOfSingles({ batch: 4, besideSingle: { single: [2, 9, 1], batch: [6, 7, 40] } })).toBe(7 / 8)
  expect(shareOfSingles({ batch: 4 })).toBeUndefined()
})
