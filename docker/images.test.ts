import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ApiConfig } from '../apps/api/src/config.ts'
import { WebConfig } from '../apps/web/src/server/config.ts'
import { WorkerConfig } from '../apps/worker/src/config.ts'
import { findImports } from '../scripts/check-imports.ts'
import { findFaults, parseDockerfile, readJson, readSourceStage, type Step } from './dockerfile.ts'

const ROOT = join(import.meta.dirname, '..')
const IMAGES = [
  { part: 'api', config: ApiConfig.shape, portName: 'API_PORT' },
  { part: 'worker', config: WorkerConfig.shape, portName: 'WORKER_PORT' },
  { part: 'web', config: WebConfig.shape, portName: 'WEB_PORT' },
] as const

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const readImage = (part: string) => parseDockerfile(read(`docker/${part}.Dockerfile`))

describe.each(IMAGES)('the image of $part', ({ part, config, portName }) => {
  const { args, stages } = readImage(part)
  const final = stages.at(-1)!
  const all = stages.flatMap(({ steps }) => steps)
  const last = (keyword: string) => final.steps.findLast((step) => step.keyword === keyword)!

  it('has no faults', () => {
    expect(findFaults({ args, stages })).toEqual([])
  })

  it('has the Node and the pnpm that the commands use', () => {
    const bootstrap = read('scripts/bootstrap.mjs')
    expect(args.BASE).toContain(`node:${/NODE_VERSION = '(.+)'/.exec(bootstrap)![1]}-`)
    const pnpm = all.flatMap(({ text }) => /pnpm@(\S+)/.exec(text)?.[1] ?? [])
    expect(pnpm).toEqual([/PNPM_VERSION = '(.+)'/.exec(bootstrap)![1]])
  })

  it('listens where its config says, and is asked there how it is', () => {
    const port = String(config[portName as keyof typeof config].parse(undefined))
    expect(last('EXPOSE').args).toEqual([port])
    expect(readJson(last('HEALTHCHECK')).slice(2)).toEqual([portName, port, '/healthz'])
  })

  it('sets no name but those of its config, of the system and of ONNX Runtime', () => {
    const names = final.steps
      .filter(({ keyword }) => keyword === 'ENV')
      .flatMap(({ args }) => args.map((pair) => pair.split('=')[0]!))
    const known = [...Object.keys(config), 'PATH', 'ORT_DISABLE_TELEMETRY']
    expect(names.filter((name) => !known.includes(name))).toEqual([])
  })

  it('copies what is there, and the sources of every package that the app depends on', () => {
    const copied = all.filter(isCopyFromHere).flatMap(({ args }) => args.slice(0, -1))
    expect(copied.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
    for (const folder of listWorkspaceFolders(`apps/${part}`)) {
      expect(copied).toContain(`${folder}/package.json`)
      expect(copied.filter((path) => path.startsWith(`${folder}/src`))).not.toEqual([])
    }
  })

  it('starts a file that is there', () => {
    expect(existsSync(join(ROOT, readJson(last('CMD'))[0]!))).toBe(true)
    const files = [...readJson(last('ENTRYPOINT')), ...readJson(last('HEALTHCHECK'))].filter((arg) =>
      arg.endsWith('.ts'),
    )
    const copied = all.filter(isCopyFromHere).flatMap(({ args }) => args)
    for (const file of files) expect(copied).toContain(file.replace('/app/', ''))
  })

  it('is labelled with the version of the product', () => {
    const { version } = JSON.parse(read('package.json'))
    expect(final.steps.filter(({ keyword }) => keyword === 'ARG').map(({ text }) => text)).toContain(
      `VERSION=${version}`,
    )
  })
})

describe('the three images', () => {
  it('share base and runtime, so that their first layer is one', () => {
    const runtimes = IMAGES.map(({ part }) => {
      const { args, stages } = readImage(part)
      return { args, runtime: stages[0] }
    })
    expect(runtimes[0]!.runtime!.name).toBe('runtime')
    expect(new Set(runtimes.map((runtime) => JSON.stringify(runtime))).size).toBe(1)
  })

  it('list in the bill of materials what the page is built of', () => {
    const files = globSync('apps/web/src/page/**/*.{ts,tsx}', { cwd: ROOT }).filter(
      (file) => !/\.test\./.test(file),
    )
    const imported = files.flatMap((file) => findImports(file, read(file)))
    const packages = imported.filter((name) => !/^[.]|^@sdcpu\//.test(name)).map(readPackageName)
    const named = /page\.json (@?[a-z].*?) >/.exec(read('docker/web.Dockerfile'))![1]!.split(' ')
    expect(named.sort()).toEqual([...new Set(packages)].sort())
  })

  it('report nothing of what they draw to the makers of ONNX Runtime', () => {
    const environment = readImage('worker')
      .stages.at(-1)!
      .steps.filter(({ keyword }) => keyword === 'ENV')
    expect(environment.flatMap(({ args }) => args)).toContain('ORT_DISABLE_TELEMETRY=1')
  })

  it('hold the demo model in the worker alone', () => {
    const having = IMAGES.filter(({ part }) => read(`docker/${part}.Dockerfile`).includes('models/demo'))
    expect(having.map(({ part }) => part)).toEqual(['worker'])
  })
})

const isCopyFromHere = (step: Step) => step.keyword === 'COPY' && !readSourceStage(step)

const readPackageName = (specifier: string) =>
  specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')

/** A package of ours and all of ours that it depends on, as folders. */
function listWorkspaceFolders(folder: string): string[] {
  const { dependencies } = JSON.parse(read(`${folder}/package.json`)) as { dependencies?: object }
  const ours = Object.keys(dependencies ?? {}).filter((name) => name.startsWith('@sdcpu/'))
  const folders = ours.map((name) => `packages/${name.slice('@sdcpu/'.length)}`)
  return [...new Set([folder, ...folders.flatMap(listWorkspaceFolders)])]
}
