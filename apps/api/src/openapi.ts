import type { RouteOptions } from 'fastify'
import { z } from 'zod'
import { type RouteDoc, routeDoc } from './route-docs.ts'

type Json = { [key: string]: unknown }
type Operation = Json & { summary: string; parameters: Json[]; responses: Record<string, Json> }
export type OpenApi = {
  openapi: '3.1.0'
  info: { title: string; version: string; description: string }
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Json>; securitySchemes: Json }
}

const JSON_TYPE = 'application/json'
const INFO = {
  title: 'Stable Diffusion on CPU nodes',
  version: '1',
  description:
    'Text to image. A request for images is queued and answered at once; follow it by polling, by server-sent events, or wait for it with `Prefer: wait=N`. Errors are `{ error: { code, message, requestId } }`.',
}
const STATUS_TEXT: Record<string, string> = {
  '200': 'Done',
  '202': 'Queued',
  '204': 'Nothing to say',
  '304': 'Not changed',
  '4xx': 'The request cannot be served as it is; `error.code` says why',
  '5xx': 'The service cannot serve it now',
}

// One key, shown in any of these ways.
const SECURITY_SCHEMES = {
  apiKey: { type: 'http', scheme: 'bearer' },
  apiKeyHeader: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
  apiKeyAsPassword: { type: 'http', scheme: 'basic', description: 'The key is the password; any user name' },
}
const SECURITY = [{}, ...Object.keys(SECURITY_SCHEMES).map((name) => ({ [name]: [] }))]

/** Makes the OpenAPI 3.1 document of routes whose schemas are zod's. */
export function buildOpenApi(routes: RouteOptions[]): OpenApi {
  const schemas: Record<string, Json> = {}
  const toSchema = (schema: z.ZodType, io: 'input' | 'output') => describe(schema, io, schemas)
  const paths: OpenApi['paths'] = {}
  for (const { method, url, schema = {} } of routes) {
    const doc = routeDoc(String(method), url)
    if (!doc) continue
    const path = toTemplate(url)
    paths[path] ??= {}
    paths[path][String(method).toLowerCase()] = toOperation(schema as ZodSchemas, doc, toSchema)
  }
  return { openapi: '3.1.0', info: INFO, paths, components: { schemas, securitySchemes: SECURITY_SCHEMES } }
}

type ZodSchemas = {
  params?: z.ZodObject
  querystring?: z.ZodObject
  headers?: z.ZodObject
  body?: z.ZodType
  response?: Record<string, z.ZodType>
}
type ToSchema = (schema: z.ZodType, io: 'input' | 'output') => Json

function toOperation(
  { params, querystring, headers, body, response = {} }: ZodSchemas,
  doc: RouteDoc,
  toSchema: ToSchema,
): Operation {
  const parameters = [
    ...toParameters('path', params, toSchema),
    ...toParameters('query', querystring, toSchema),
    ...toParameters('header', headers, toSchema),
  ]
  const responses = Object.entries(response).map(([status, schema]) => {
    const description = doc.responses?.[status] ?? STATUS_TEXT[status] ?? status
    const media = doc.produces?.[status]
    const content = media
      ? Object.fromEntries(
          media.map((type) => [type, type === JSON_TYPE ? { schema: toSchema(schema, 'output') } : {}]),
        )
      : schema instanceof z.ZodUndefined
        ? undefined
        : { [JSON_TYPE]: { schema: toSchema(schema, 'output') } }
    return [status.toUpperCase(), { description, ...(content && { content }) }] as const
  })
  return {
    summary: doc.summary,
    ...(doc.description && { description: doc.description }),
    tags: [doc.tag],
    security: SECURITY,
    parameters,
    ...(body && {
      requestBody: {
        required: true,
        content: { [doc.consumes ?? JSON_TYPE]: { schema: toSchema(body, 'input') } },
      },
    }),
    responses: Object.fromEntries(responses),
  }
}

// What a caller must give is told by what goes in, the type by what comes out: a number in a URL is text.
function toParameters(place: string, schema: z.ZodObject | undefined, toSchema: ToSchema): Json[] {
  if (!schema) return []
  const required = new Set((toSchema(schema, 'input').required as string[] | undefined) ?? [])
  const properties = toSchema(schema, 'output').properties as Record<string, Json>
  return Object.entries(properties).map(([name, { description, ...type }]) => ({
    name,
    in: place,
    required: place === 'path' || required.has(name),
    ...(description !== undefined && { description }),
    schema: type,
  }))
}

/** JSON Schema of a zod schema; those with a name become components, which are collected in `schemas`. */
function describe(schema: z.ZodType, io: 'input' | 'output', schemas: Record<string, Json>): Json {
  const { $schema: _, $defs = {}, ...root } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Json
  for (const [name, definition] of Object.entries($defs as Record<string, Json>))
    schemas[name] = toComponents(definition)
  const { id: name, ...own } = toComponents(root)
  if (typeof name !== 'string') return own
  schemas[name] = own
  return { $ref: `#/components/schemas/${name}` }
}

function toComponents(schema: Json): Json {
  const text = JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/')
  return JSON.parse(text)
}

/** `/a/:id(^\\d+)` as `/a/{id}`. */
function toTemplate(url: string): string {
  let depth = 0
  let plain = ''
  for (const character of url) {
    if (character === '(') depth++
    if (depth === 0) plain += character
    if (character === ')') depth--
  }
  return plain.replaceAll(/:(\w+)/g, '{$1}')
}
