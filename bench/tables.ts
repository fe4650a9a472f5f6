import { type ProfileSummary, speedUp } from './profile.ts'
import { bestSeconds, type Measurement, nameOf, shareOfSingles } from './stage.ts'

/** Rows of cells in columns of equal width, the first aligned left and the others right. */
export function alignColumns(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) =>
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
    )
    .join('\n')
}

/** 0.0123 s and 12.3 s, three digits each. */
export const formatSeconds = (seconds: number) => `${Number(seconds.toPrecision(3))} s`
export const formatBytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`
const formatPercent = (share: number) => `${(100 * share).toFixed(1)} %`

/** Measurements as a table for a terminal. */
export function formatMeasurements(measurements: Measurement[]): string {
  const rows = measurements.map((measurement) => {
    const { batch, gmac, peakRssBytes, loadSeconds } = measurement
    const seconds = bestSeconds(measurement)
    return [
      nameOf(measurement),
      formatSeconds(seconds),
      formatSeconds(seconds / batch),
      shareOfSingles(measurement)?.toFixed(2) ?? '',
      gmac ? gmac.toPrecision(3) : '',
      gmac ? (gmac / seconds).toPrecision(3) : '',
      formatBytes(peakRssBytes),
      formatSeconds(loadSeconds),
    ]
  })
  const head = ['work', 'best', 'an image', 'of as many single', 'GMAC', 'GMAC/s', 'peak memory', 'load']
  return alignColumns([head, ...rows])
}

const CORES = [2, 4, 8, 16, 32]
const SHORTEST_SHOWN = 0.002

/** A profile as a table for a terminal: kernels by time, and what one thread has to do alone. */
export function formatProfile(title: string, summary: ProfileSummary): string {
  const { totalUs, gmac, kernels, oneThreadShare, executorShare } = summary
  const shown = kernels.filter(
    ({ share, oneThreadShare }) => share >= SHORTEST_SHOWN || oneThreadShare >= SHORTEST_SHOWN / 2,
  )
  const table = alignColumns([
    ['kernel', 'runs', 'time', 'on one thread'],
    ...shown.map(({ op, runs, share, oneThreadShare }) => [
      op,
      String(runs),
      formatPercent(share),
      oneThreadShare > 0 ? formatPercent(oneThreadShare) : '',
    ]),
  ])
  const serial = oneThreadShare + executorShare
  return [
    `${title}: ${formatSeconds(totalUs / 1e6)} at one thread, ${gmac.toPrecision(3)} GMAC`,
    table,
    `Kernels that run on one thread whatever the pool: ${formatPercent(oneThreadShare)} (3 % is the bound)`,
    `Between kernels: ${formatPercent(executorShare)}`,
    `By Amdahl's law (a calculation, not a measurement): ${CORES.map((cores) => `${speedUp(serial, cores).toFixed(1)}x on ${cores} cores`).join(', ')}`,
  ].join('\n')
}
