import { type Cpu, describeCpu } from './cpu.ts'
import { bestSeconds, type Measurement, median, nameOf } from './stage.ts'
import { formatBytes, formatSeconds } from './tables.ts'

/** Seconds of the same work of ours and of a peer, run by run in turns. */
export type Turns = { ours: number[]; peer: number[]; measuredAt?: string }

/** What an engine did alone, and a peer in turns with ours, where both fit into the memory. */
export type Measured = Measurement & { measuredAt?: string; turns?: Turns }

/** Measurements of several engines as a Markdown table: a row a piece of work, a column an engine. */
export function formatPeers(
  measurements: Measured[],
  { cpu, mask, model }: { cpu: Cpu; mask?: string | undefined; model: string },
): string {
  const engines = [...new Set(measurements.map(({ engine }) => engine))]
  const [first] = measurements
  const times = measurements.flatMap(({ measuredAt, turns }) => [measuredAt, turns?.measuredAt])
  const days = times.flatMap((time) => time?.slice(0, 10) ?? []).toSorted()
  const span = days[0] === days.at(-1) ? days[0] : `${days[0]} to ${days.at(-1)}`
  const rows = [...Map.groupBy(measurements, nameOf)].map(([name, group]) => {
    const cells = engines.map((engine) => {
      const found = group.find((measurement) => measurement.engine === engine)
      return found ? formatCell(found, group) : ''
    })
    return `| ${[name, ...cells].join(' | ')} |`
  })
  return [
    `${describeCpu(cpu, mask)}; ${first!.threads} threads, model ${model}, ${first!.width}x${first!.height}, ${span}.`,
    'Best of the timed runs of an engine alone, and its peak memory; in brackets, how many times faster ours is, by the medians of runs in turns: ours, the other, ours, the other.',
    '',
    `| work | ${engines.join(' | ')} |`,
    `|---|${engines.map(() => '---|').join('')}`,
    ...rows,
    ...(rows.some((row) => row.includes(APART)) ? ['', APART_NOTE] : []),
  ].join('\n')
}

const APART = 'x*'
const APART_NOTE =
  'A ratio with * is of the best times, measured apart: the two do not fit into the memory together.'

function formatCell(measurement: Measured, group: Measured[]): string {
  const ours = group.find(({ engine }) => engine.startsWith('ours'))
  const ratio = ours && ours !== measurement ? ` (${formatRatio(measurement, ours)})` : ''
  return `${formatSeconds(bestSeconds(measurement))}${ratio}, ${formatBytes(measurement.peakRssBytes)}`
}

function formatRatio(peer: Measured, ours: Measured): string {
  const { turns } = peer
  if (turns) return `${(median(turns.peer) / median(turns.ours)).toFixed(2)}x`
  return `${(bestSeconds(peer) / bestSeconds(ours)).toFixed(2)}${APART}`
}

const BEGIN = '<!-- peers: written by npm run bench -- --peers -->'
const END = '<!-- end of peers -->'

/** Puts a text in the place of what stands between the markers. @throws where the page has not both, in order */
export function writeBetweenMarkers(page: string, text: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (begin < 0 || end < begin)
    throw new Error(`the report needs two lines to write between: ${BEGIN} and ${END}`)
  return `${page.slice(0, begin + BEGIN.length)}\n\n${text}\n\n${page.slice(end)}`
}
