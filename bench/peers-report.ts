import type { Cpu } from './cpu.ts'
import { bestSeconds, type Measurement, nameOf } from './stage.ts'
import { formatBytes, formatSeconds } from './tables.ts'

type Measured = Measurement & { measuredAt?: string }

/** Measurements of several engines as a Markdown table: a row a piece of work, a column an engine. */
export function formatPeers(measurements: Measured[], { cpu, model }: { cpu: Cpu; model: string }): string {
  const engines = [...new Set(measurements.map(({ engine }) => engine))]
  const [first] = measurements
  const days = measurements.flatMap(({ measuredAt }) => measuredAt?.slice(0, 10) ?? []).toSorted()
  const span = days[0] === days.at(-1) ? days[0] : `${days[0]} to ${days.at(-1)}`
  const rows = [...Map.groupBy(measurements, nameOf)].map(([name, group]) => {
    const cells = engines.map((engine) => {
      const found = group.find((measurement) => measurement.engine === engine)
      return found ? formatCell(found, group) : ''
    })
    return `| ${[name, ...cells].join(' | ')} |`
  })
  return [
    `${cpu.name}, ${cpu.flags.join(' ')}; ${first!.threads} threads, model ${model}, ${first!.width}x${first!.height}, ${span}.`,
    'Best of the timed runs, and the peak memory of a process that does nothing else; in brackets, how many times faster ours is.',
    '',
    `| work | ${engines.join(' | ')} |`,
    `|---|${engines.map(() => '---|').join('')}`,
    ...rows,
  ].join('\n')
}

function formatCell(measurement: Measured, group: Measured[]): string {
  const seconds = bestSeconds(measurement)
  const ours = group.find(({ engine }) => engine.startsWith('ours'))
  const ratio =
    ours && ours.engine !== measurement.engine ? ` (${(seconds / bestSeconds(ours)).toFixed(2)}x)` : ''
  return `${formatSeconds(seconds)}${ratio}, ${formatBytes(measurement.peakRssBytes)}`
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
