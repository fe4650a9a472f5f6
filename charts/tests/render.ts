import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import { findHelm } from '../../scripts/helm.ts'

const run = promisify(execFile)

export const CHARTS = join(import.meta.dirname, '..')
export const CHART = join(CHARTS, 'stable-diffusion-cpu')
/** The release of the article that the chart answers. */
export const RELEASE = 'stable-diffusion-ipex'
/** The oldest, one in between, and the first with image volumes. */
export const KUBERNETES = ['1.27.0', '1.31.0', '1.35.0']

// biome-ignore lint/suspicious/noExplicitAny: a Kubernetes object; its schema is checked by schemas.test.ts.
export type Manifest = any

export type RenderOptions = {
  /** Values files, by path. */
  files?: string[]
  /** Values as `--set-json` takes them: `{ 'worker.cpu': 14 }`. */
  set?: Record<string, unknown>
  kubernetes?: string
  release?: string
}

const rendered = new Map<string, Promise<string>>()

/** Renders the chart with helm, without a cluster. @throws with helm's own words where it refuses */
export async function render(options: RenderOptions = {}): Promise<Manifest[]> {
  const key = JSON.stringify(options)
  if (!rendered.has(key)) rendered.set(key, template(options))
  return parseObjects(await rendered.get(key)!)
}

async function template(options: RenderOptions, chart = CHART): Promise<string> {
  const args = ['template', options.release ?? RELEASE, chart, ...valueArguments(options)]
  const cluster = ['--namespace', 'pictures', '--kube-version', options.kubernetes ?? '1.31.0']
  const { stdout } = await run(await findHelm(console.error), [...args, ...cluster], { maxBuffer: 1 << 26 })
  return stdout
}

function parseObjects(text: string): Manifest[] {
  return parseAllDocuments(text, { uniqueKeys: true })
    .map((document) => {
      if (document.errors.length > 0) throw document.errors[0]
      return document.toJS()
    })
    .filter((object) => object !== null)
}

/** What helm says when it refuses; nothing where it renders. */
export async function refusal(options: RenderOptions): Promise<string> {
  return render(options).then(
    () => '',
    (error) => String(error.stderr ?? error),
  )
}

/** Runs `helm lint --strict`. @throws with what it found */
export async function lint(options: RenderOptions): Promise<void> {
  await run(await findHelm(console.error), ['lint', '--strict', CHART, ...valueArguments(options)])
}

/** The notes that an installation prints. Only a cluster makes helm show them, so a copy of the chart makes an object of them. */
export async function notes(options: RenderOptions = {}): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'sdcpu-chart-'))
  try {
    await cp(CHART, copy, { recursive: true })
    const object = 'kind: Notes\nmetadata: {name: notes}\ntext: {{ include "sdcpu.notes" . | toJson }}\n'
    await writeFile(join(copy, 'templates', 'notes.yaml'), object)
    return find(parseObjects(await template(options, copy)), 'Notes', 'notes').text
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}

function valueArguments({ files = [], set = {} }: RenderOptions): string[] {
  return [
    ...files.flatMap((file) => ['--values', file]),
    ...Object.entries(set).flatMap(([name, value]) => ['--set-json', `${name}=${JSON.stringify(value)}`]),
  ]
}

/** Every values file of a folder of the chart, by name. */
export function valuesFiles(folder: 'ci' | 'examples'): { name: string; file: string }[] {
  const names = readdirSync(join(CHART, folder)).filter((name) => name.endsWith('.yaml'))
  return names.map((name) => ({ name: `${folder}/${name}`, file: join(CHART, folder, name) }))
}

export const ofKind = (objects: Manifest[], kind: string): Manifest[] =>
  objects.filter((object) => object.kind === kind)

/** The object of this kind and name. @throws where there is none */
export function find(objects: Manifest[], kind: string, name: string): Manifest {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name)
  if (!found) throw new Error(`there is no ${kind} ${name}`)
  return found
}

export type Pod = {
  owner: string
  component: string
  labels: Record<string, string>
  spec: Manifest
  annotations: Record<string, string>
}

/** Every pod that the objects make. */
export function pods(objects: Manifest[]): Pod[] {
  return objects.flatMap((object) => {
    const template = object.kind === 'Pod' ? object : object.spec?.template
    if (!template?.spec?.containers) return []
    const { labels, annotations = {} } = template.metadata
    const component = labels['app.kubernetes.io/component']
    return [
      {
        owner: `${object.kind}/${object.metadata.name}`,
        component,
        labels,
        annotations,
        spec: template.spec,
      },
    ]
  })
}

export const containers = (pod: Pod): Manifest[] => [
  ...(pod.spec.initContainers ?? []),
  ...pod.spec.containers,
]
