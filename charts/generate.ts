// Writes what follows from the chart's values.yaml: values.schema.json, and the table of values in its README.
//   node charts/generate.ts          writes them
//   node charts/generate.ts --check  exits with 1 where they differ from what is there
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readValues, type Value } from './values-source.ts'

const CHART = join(import.meta.dirname, 'stable-diffusion-cpu')
const TABLE = /(<!-- values -->\n)[\s\S]*?(<!-- \/values -->)/

// draft-07: Helm below 3.18 reads nothing newer.
const DRAFT = 'http://json-schema.org/draft-07/schema#'
const DEFINITIONS = {
  strings: { type: 'object', additionalProperties: { type: 'string' } },
  objects: { type: 'array', items: { type: 'object' } },
  size: { type: 'string', pattern: '^[1-9][0-9]*(Mi|Gi)$' },
  optionalSize: { type: 'string', pattern: '^([1-9][0-9]*(Mi|Gi))?$' },
  cpu: { type: 'string', pattern: '^[1-9][0-9]*m?$' },
  digest: { type: 'string', pattern: '^(sha256:[0-9a-f]{64})?$' },
  relativePath: { type: 'string', pattern: '^([^/].*)?$', not: { pattern: '(^|/)\\.\\.(/|$)' } },
}

type Schema = { [key: string]: unknown; properties?: Record<string, Schema> }

/** Makes the schema of all values: closed, so that a mistyped name is refused. */
export function makeSchema(values: Value[]): Schema {
  const root: Schema = { $schema: DRAFT, ...emptyGroup(), definitions: DEFINITIONS }
  // A chart above this one may hand these down.
  root.properties!.global = { type: 'object' }
  for (const value of values) {
    const group = value.path.slice(0, -1).reduce((schema, key) => {
      schema.properties![key] ??= emptyGroup()
      return schema.properties![key]!
    }, root)
    group.properties![value.path.at(-1)!] = schemaOf(value)
  }
  return root
}

const emptyGroup = (): Schema => ({ type: 'object', additionalProperties: false, properties: {} })

function schemaOf({ schema, default: value }: Value): Schema {
  return '$ref' in schema ? schema : { type: typeOf(value), ...schema }
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number'
  return typeof value
}

/** Makes the README's table. */
export function makeTable(values: Value[]): string {
  const rows = values.map(
    ({ path, default: value, description }) =>
      `| \`${path.join('.')}\` | \`${JSON.stringify(value)}\` | ${description.replaceAll('|', '\\|')} |`,
  )
  return ['| value | default | what |', '|---|---|---|', ...rows, ''].join('\n')
}

/** The files as they should be, by path. */
export function generate(): Record<string, string> {
  const values = readValues(readFileSync(join(CHART, 'values.yaml'), 'utf8'))
  const readme = join(CHART, 'README.md')
  const text = readFileSync(readme, 'utf8')
  if (!TABLE.test(text)) throw new Error(`${readme} has no "<!-- values -->" and "<!-- /values -->"`)
  return {
    [join(CHART, 'values.schema.json')]: `${JSON.stringify(makeSchema(values), null, 2)}\n`,
    [readme]: text.replace(TABLE, (_, start, end) => start + makeTable(values) + end),
  }
}

if (import.meta.main) {
  for (const [file, text] of Object.entries(generate())) {
    if (process.argv[2] !== '--check') writeFileSync(file, text)
    else if (readFileSync(file, 'utf8') !== text) {
      console.error(`${file} is out of date; run node charts/generate.ts`)
      process.exitCode = 1
    }
  }
}
