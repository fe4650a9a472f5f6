import type { OpenApi } from './openapi.ts'

type Schema = {
  $ref?: string
  type?: string
  description?: string
  enum?: unknown[]
  default?: unknown
  minimum?: number
  maximum?: number
  items?: Schema
  anyOf?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
}
type Parameter = { name: string; in: string; required: boolean; description?: string; schema: Schema }
type Content = Record<string, { schema?: Schema }>

/** The document as a page that reads without scripts; its style is `DOCS_STYLE`, at docs/style.css. */
export function renderDocs({ info, paths, components }: OpenApi): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  )
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(info.title)}: API</title>
<link rel="stylesheet" href="docs/style.css">
<main>
<h1>${escapeHtml(info.title)}</h1>
<p>${text(info.description)}</p>
<p>The same for programs: <a href="openapi.json">openapi.json</a>.</p>
<nav><ul>
${operations.map(({ path, method, operation }) => `<li><a href="#${anchor(method, path)}"><code>${method} ${escapeHtml(path)}</code></a> ${escapeHtml(operation.summary)}</li>`).join('\n')}
</ul></nav>
${operations.map(({ path, method, operation }) => renderOperation(method, path, operation)).join('\n')}
<h2>Shapes</h2>
${Object.entries(components.schemas)
  .map(([name, schema]) => `<h3 id="${escapeHtml(name)}">${escapeHtml(name)}</h3>\n${renderSchema(schema)}`)
  .join('\n')}
</main>
</html>
`
}

function renderOperation(method: string, path: string, operation: OpenApi['paths'][string][string]): string {
  const parameters = operation.parameters as unknown as Parameter[]
  const content = (operation.requestBody as { content: Content } | undefined)?.content
  const [mediaType, { schema: body } = {}] = Object.entries(content ?? {})[0] ?? []
  return `<section>
<h2 id="${anchor(method, path)}"><code>${method} ${escapeHtml(path)}</code></h2>
<p>${escapeHtml(operation.summary)}.${operation.description ? ` ${text(String(operation.description))}` : ''}</p>
${parameters.length > 0 ? renderRows(parameters.map((one) => [`<code>${escapeHtml(one.name)}</code><br><small>${one.in}${one.required ? ', required' : ''}</small>`, typeName(one.schema), text(one.description ?? '')])) : ''}
${body ? `<p>Body: ${typeName(body)}${mediaType === 'application/json' ? '' : `, as ${mediaType}`}</p>` : ''}
${renderRows(Object.entries(operation.responses).map(([status, response]) => [`<code>${escapeHtml(status)}</code>`, renderContent(response.content as Content | undefined), text(String(response.description))]))}
</section>`
}

function renderContent(content: Content = {}): string {
  return Object.entries(content)
    .map(([type, { schema }]) => (schema ? typeName(schema) : `<code>${escapeHtml(type)}</code>`))
    .join('<br>')
}

function renderSchema(schema: Schema): string {
  if (!schema.properties) return `<p>${typeName(schema)}</p>`
  const required = new Set(schema.required)
  return renderRows(
    Object.entries(schema.properties).map(([name, field]) => [
      `<code>${escapeHtml(name)}</code>${required.has(name) ? '' : '<br><small>optional</small>'}`,
      typeName(field),
      text(field.description ?? ''),
    ]),
  )
}

function typeName(schema: Schema): string {
  const name = schema.$ref?.split('/').at(-1)
  if (name) return `<a href="#${escapeHtml(name)}">${escapeHtml(name)}</a>`
  if (schema.enum)
    return schema.enum.map((value) => `<code>${escapeHtml(JSON.stringify(value))}</code>`).join(' ')
  if (schema.anyOf) return schema.anyOf.map(typeName).join(' or ')
  if (schema.type === 'array') return `list of ${typeName(schema.items ?? {})}`
  if (schema.properties)
    return `{ ${Object.entries(schema.properties)
      .map(([field, type]) => `<code>${escapeHtml(field)}</code>: ${typeName(type)}`)
      .join(', ')} }`
  const { minimum, maximum } = schema
  const isBounded = minimum !== undefined && maximum !== undefined && Number.isSafeInteger(maximum * 2)
  const range = isBounded ? ` from ${minimum} to ${maximum}` : ''
  const preset = schema.default === undefined ? '' : `, ${JSON.stringify(schema.default)} when left out`
  return escapeHtml(`${schema.type ?? 'any'}${range}${preset}`)
}

function renderRows(rows: string[][]): string {
  return `<div class="scroll"><table>${rows.map((cells) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`).join('\n')}</table></div>`
}

const anchor = (method: string, path: string) => `${method}${path}`.replaceAll(/\W+/g, '-').toLowerCase()

/** Escaped, with `code` between backticks. */
const text = (value: string) => escapeHtml(value).replaceAll(/`([^`]+)`/g, '<code>$1</code>')

function escapeHtml(value: string): string {
  return value
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

export const DOCS_STYLE = `:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 6rem; }
h2 { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: 1.15rem; }
h3 { margin-top: 2rem; font-size: 1rem; }
nav ul { padding: 0; list-style: none; }
code { font: 0.9em ui-monospace, monospace; }
.scroll { overflow-x: auto; }
table { width: 100%; margin: 1rem 0; border-collapse: collapse; }
td { padding: 0.4rem 1rem 0.4rem 0; border-top: 1px solid var(--line); vertical-align: top; }
td:first-child { white-space: nowrap; }
`
