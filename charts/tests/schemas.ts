import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { Ajv, type ValidateFunction } from 'ajv'
import { CHARTS, type Manifest } from './render.ts'

/** Lists what a version of Kubernetes, or the published custom resources, would refuse or drop of an object. */
export function openSchemas(kubernetes: string): (object: Manifest) => string[] {
  const validators = [load(kubernetes), load('crds')]
  return (object) => {
    const kind = `${object.apiVersion}/${object.kind}`
    const validate = validators.map((get) => get(kind)).find((found) => found !== undefined)
    if (!validate) return [`Kubernetes ${kubernetes} has no ${kind} that the chart's tests know`]
    if (validate(object)) return []
    return validate.errors!.map(
      ({ instancePath, message, params }) =>
        `${kind} ${object.metadata?.name}${instancePath} ${message} ${JSON.stringify(params)}`,
    )
  }
}

function load(name: string): (kind: string) => ValidateFunction | undefined {
  const file = join(CHARTS, 'schemas', `${name}.json.gz`)
  const { kinds, definitions } = JSON.parse(gunzipSync(readFileSync(file)).toString())
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true })
  ajv.addSchema({ $id: name, definitions })
  return (kind) =>
    Object.hasOwn(kinds, kind) ? ajv.getSchema(`${name}#/definitions/${kinds[kind]}`) : undefined
}
