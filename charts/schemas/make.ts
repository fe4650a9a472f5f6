// Makes the schemas that rendered objects are held against, from published ones; README.md beside this says which.
//   node charts/schemas/make.ts KUBERNETES_JSON_SCHEMA_DIR CRD_FILE...
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { parse } from 'yaml'

// biome-ignore lint/suspicious/noExplicitAny: a JSON schema.
type Schema = any

const VERSIONS = ['1.27.0', '1.31.0', '1.35.0']
const KINDS = {
  'v1/ConfigMap': 'core.v1.ConfigMap',
  'v1/PersistentVolumeClaim': 'core.v1.PersistentVolumeClaim',
  'v1/Pod': 'core.v1.Pod',
  'v1/Secret': 'core.v1.Secret',
  'v1/Service': 'core.v1.Service',
  'v1/ServiceAccount': 'core.v1.ServiceAccount',
  'apps/v1/Deployment': 'apps.v1.Deployment',
  'apps/v1/StatefulSet': 'apps.v1.StatefulSet',
  'autoscaling/v2/HorizontalPodAutoscaler': 'autoscaling.v2.HorizontalPodAutoscaler',
  'networking.k8s.io/v1/Ingress': 'networking.v1.Ingress',
  'networking.k8s.io/v1/NetworkPolicy': 'networking.v1.NetworkPolicy',
  'policy/v1/PodDisruptionBudget': 'policy.v1.PodDisruptionBudget',
}
const REFERENCE = /^(\/api\/_definitions\.json)?#\/\$defs\//

const [folder, ...crds] = process.argv.slice(2)
if (!folder || crds.length === 0) throw new Error('usage: make.ts KUBERNETES_JSON_SCHEMA_DIR CRD_FILE...')

for (const version of VERSIONS) {
  const file = join(folder, `v${version}-local-strict`, '_definitions.json')
  const all = JSON.parse(readFileSync(file, 'utf8')).$defs
  const definitions: Record<string, Schema> = {}
  const kinds: Record<string, string> = {}
  for (const [kind, name] of Object.entries(KINDS)) {
    kinds[kind] = `io.k8s.api.${name}`
    collect(kinds[kind], all, definitions)
  }
  write(version, { kinds, definitions })
}

const definitions: Record<string, Schema> = {}
const kinds: Record<string, string> = {}
for (const file of crds) {
  const { spec } = parse(readFileSync(file, 'utf8'))
  for (const { name, schema } of spec.versions) {
    const kind = `${spec.group}/${name}/${spec.names.kind}`
    kinds[kind] = kind.replaceAll('/', '.')
    definitions[kinds[kind]] = trim(close(schema.openAPIV3Schema))
  }
}
write('crds', { kinds, definitions })

/** Takes a definition and all that it refers to. */
function collect(name: string, all: Record<string, Schema>, into: Record<string, Schema>): void {
  if (into[name]) return
  into[name] = trim(all[name])
  for (const [, next] of JSON.stringify(into[name]).matchAll(/"#\/definitions\/([^"]+)"/g))
    collect(next!, all, into)
}

/** Leaves out what validates nothing. */
function trim(schema: Schema): Schema {
  if (Array.isArray(schema)) return schema.map(trim)
  if (typeof schema !== 'object' || schema === null) {
    return typeof schema === 'string' ? schema.replace(REFERENCE, '#/definitions/') : schema
  }
  const kept = Object.entries(schema).filter(([key, value]) => {
    const isText = key === 'description' && typeof value === 'string'
    const isGoPattern = key === 'pattern' && typeof value === 'string' && value.includes('(?i)') // no JavaScript
    const isNote = key.startsWith('x-kubernetes-') || key === '$id' || key === '$schema'
    return !isText && !isGoPattern && !isNote
  })
  return Object.fromEntries(kept.map(([key, value]) => [key, trim(value)]))
}

/** Refuses what a cluster would drop without a word. */
function close(schema: Schema): Schema {
  if (Array.isArray(schema)) return schema.map(close)
  if (typeof schema !== 'object' || schema === null) return schema
  const closed = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, close(value)]))
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] || 'additionalProperties' in schema
  return schema.type === 'object' && schema.properties && !isOpen
    ? { ...closed, additionalProperties: false }
    : closed
}

function write(name: string, schema: Schema): void {
  // Level and time fixed, so that the same input gives the same file.
  writeFileSync(join(import.meta.dirname, `${name}.json.gz`), gzipSync(JSON.stringify(schema), { level: 9 }))
}
