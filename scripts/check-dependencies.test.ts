import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { judgeDependencies, meetsLicence, readProject } from './check-dependencies.ts'

const HASH = `sha512-${'a'.repeat(86)}==`
const folders: string[] = []
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))))

type Package = {
  resolution?: object
  deprecated?: string
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
  /** What of it is installed; nothing where it is not. */
  manifest?: object | undefined
  files?: string[]
}

// An API that needs fast, which needs deep; a page that bundles ui and is built by tool.
let packages: Record<string, Package>
let manifests: Record<string, { dependencies?: object; devDependencies?: object }>
let allowBuilds: Record<string, boolean>
beforeEach(() => {
  packages = {
    'fast@1.0.0': { dependencies: { deep: '2.0.0-rc.1' }, manifest: { license: '(MIT OR GPL-3.0-only)' } },
    'deep@2.0.0-rc.1': { manifest: { license: 'ISC' } },
    '@scope/ui@3.0.0': { manifest: { license: 'OFL-1.1' } },
    'tool@4.0.0': { deprecated: 'it is old', manifest: { license: 'GPL-3.0-only' } },
  }
  manifests = {
    'apps/api': { dependencies: { fast: '1.0.0' } },
    'apps/web': { devDependencies: { '@scope/ui': '3.0.0', tool: '4.0.0' } },
  }
  allowBuilds = {}
})

/** Writes such a project as pnpm would, and judges it. */
async function judge(): Promise<string[]> {
  const root = await mkdtemp(join(tmpdir(), 'sdcpu-dependencies-'))
  folders.push(root)
  const write = async (file: string, content: string) => {
    await mkdir(dirname(join(root, file)), { recursive: true })
    await writeFile(join(root, file), content)
  }
  const resolved = (dependencies: object = {}) =>
    Object.fromEntries(Object.entries(dependencies).map(([name, version]) => [name, { version }]))
  const lockfile = {
    importers: Object.fromEntries(
      Object.entries(manifests).map(([folder, { dependencies, devDependencies }]) => [
        folder,
        { dependencies: resolved(dependencies), devDependencies: resolved(devDependencies) },
      ]),
    ),
    packages: Object.fromEntries(
      Object.entries(packages).map(([id, { resolution = { integrity: HASH }, deprecated }]) => [
        id,
        { resolution, ...(deprecated && { deprecated }) },
      ]),
    ),
    snapshots: Object.fromEntries(
      Object.entries(packages).map(([id, { dependencies = {}, optionalDependencies = {} }]) => [
        id,
        { dependencies, optionalDependencies },
      ]),
    ),
  }
  await write('pnpm-lock.yaml', stringify(lockfile))
  await write('pnpm-workspace.yaml', stringify({ allowBuilds }))
  await write('apps/web/src/page/main.tsx', "import '@scope/ui/wght.css'\nimport './own.ts'\n")
  for (const [folder, manifest] of Object.entries(manifests))
    await write(join(folder, 'package.json'), JSON.stringify(manifest))
  await mkdir(join(root, 'node_modules/.pnpm'), { recursive: true })
  for (const [id, { manifest, files = [] }] of Object.entries(packages)) {
    if (!manifest) continue
    const [, name, version] = /^(.+)@(.+)$/.exec(id)!
    const folder = `node_modules/.pnpm/${id.replace('/', '+')}/node_modules/${name}`
    await write(`${folder}/package.json`, JSON.stringify({ name, version, ...manifest }))
    for (const file of files) await write(`${folder}/${file}`, '')
  }
  return judgeDependencies(readProject(root))
}

describe('judgeDependencies', () => {
  it('finds nothing in a project that is as it should be, whatever its tools are under', async () => {
    expect(await judge()).toEqual([])
  })

  it.each(['^1.0.0', '~1.0.0', '1.x', 'latest', '*', 'github:them/fast', 'npm:other@^1.0.0'])(
    'wants one version exactly, and not %s',
    async (version) => {
      manifests.tools = { devDependencies: { fast: version } }
      expect(await judge()).toEqual([`tools/package.json: fast is "${version}"; name one version exactly`])
    },
  )

  it('lets our own packages name each other', async () => {
    manifests['apps/api']!.dependencies = { fast: '1.0.0', '@sdcpu/contract': 'workspace:*' }
    const judged = await judge()
    expect(judged.filter((fault) => fault.includes('package.json'))).toEqual([])
  })

  it.each([
    ['a tarball elsewhere', { integrity: HASH, tarball: 'https://example.com/deep.tgz' }],
    ['a git repository', { type: 'git', repo: 'https://example.com/deep.git', commit: 'abc' }],
    ['a folder', { type: 'directory', directory: '../deep' }],
  ])('refuses %s', async (_, resolution) => {
    packages['deep@2.0.0-rc.1']!.resolution = resolution
    expect(await judge()).toEqual([
      expect.stringContaining('deep@2.0.0-rc.1 does not come from the registry'),
    ])
  })

  it('refuses what has an address in place of a version', async () => {
    packages['far@https://example.com/far.tgz'] = {}
    expect(await judge()).toEqual([expect.stringContaining('far@https://example.com/far.tgz does not come')])
  })

  it.each([{}, { integrity: 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=' }, { integrity: 'sha512-' }])(
    'wants a hash that fixes the content, and not %j',
    async (resolution) => {
      packages['tool@4.0.0']!.resolution = resolution
      expect(await judge()).toEqual(['tool@4.0.0 has no SHA-512 in the lockfile; its content is not fixed'])
    },
  )

  it.each([
    ['GPL-3.0-only', 'is under GPL-3.0-only, which is not on the list'],
    ['MIT AND SSPL-1.0', 'is under MIT AND SSPL-1.0, which is not on the list'],
    ['LGPL-3.0-or-later', 'is under LGPL-3.0-or-later, which is not on the list'],
    [undefined, 'names no licence'],
  ])('names what is shipped under a licence not on the list: %s', async (license, fault) => {
    packages['deep@2.0.0-rc.1']!.manifest = { license }
    packages['@scope/ui@3.0.0']!.manifest = { license }
    expect(await judge()).toEqual([`deep@2.0.0-rc.1 ${fault}`, `@scope/ui@3.0.0 ${fault}`])
  })

  it('lets a licence be fit for one package alone', async () => {
    packages['@img/sharp-libvips-linux-x64@1.0.0'] = { manifest: { license: 'LGPL-3.0-or-later' } }
    packages['fast@1.0.0']!.optionalDependencies = { '@img/sharp-libvips-linux-x64': '1.0.0' }
    expect(await judge()).toEqual([])
  })

  it('names what is shipped and deprecated', async () => {
    packages['deep@2.0.0-rc.1']!.deprecated = 'use another'
    expect(await judge()).toEqual(['deep@2.0.0-rc.1 is deprecated: use another'])
  })

  it('cannot judge what is not installed, unless it is for other machines', async () => {
    packages['deep@2.0.0-rc.1']!.manifest = undefined
    expect(await judge()).toEqual(['deep@2.0.0-rc.1 is needed and not installed; run pnpm install'])
    packages['fast@1.0.0'] = { ...packages['fast@1.0.0']!, dependencies: {} }
    packages['fast@1.0.0'].optionalDependencies = { deep: '2.0.0-rc.1' }
    expect(await judge()).toEqual([])
  })

  it.each([
    ['postinstall', { manifest: { license: 'MIT', scripts: { postinstall: 'node steal.js' } } }],
    ['binding.gyp', { manifest: { license: 'MIT' }, files: ['binding.gyp'] }],
  ])('wants each install script to have been looked at: %s', async (_, found) => {
    packages['tool@4.0.0'] = found
    expect(await judge()).toEqual([expect.stringContaining('tool@4.0.0 has an install script; look at it')])
    allowBuilds = { tool: false }
    expect(await judge()).toEqual([])
  })

  it('wants the list of install scripts to have no more than there are', async () => {
    allowBuilds = { tool: false }
    expect(await judge()).toEqual(['pnpm-workspace.yaml: tool under allowBuilds has no install script here'])
  })

  it('refuses to let an install script run', async () => {
    packages['tool@4.0.0']!.manifest = { license: 'MIT', scripts: { install: 'make' } }
    allowBuilds = { tool: true }
    expect(await judge()).toEqual(['pnpm-workspace.yaml: tool may run its install script; say false'])
  })
})

it.each([
  ['MIT', true],
  ['(MIT OR GPL-2.0)', true],
  ['GPL-2.0 OR MIT', true],
  ['MIT AND ISC', true],
  ['MIT AND GPL-2.0', false],
  ['GPL-2.0', false],
  ['(MIT AND GPL-2.0) OR (GPL-2.0 AND ISC)', false],
  ['SEE LICENSE IN LICENSE.md', false],
])('reads the licence %s', (expression, fits) => {
  expect(meetsLicence(expression, (licence) => ['MIT', 'ISC'].includes(licence))).toBe(fits)
})

it('finds no fault with this repository, whose page and images ship what is looked at', () => {
  const project = readProject(join(import.meta.dirname, '..'))
  expect(judgeDependencies(project)).toEqual([])
  const withoutLicences = [...project.installed].map(
    ([id, found]) => [id, { ...found, licence: 'none' }] as const,
  )
  const faults = judgeDependencies({ ...project, installed: new Map(withoutLicences) }).join('\n')
  for (const shipped of [
    'react-dom@',
    'fastify@',
    'sharp@',
    'onnxruntime-node@',
    '@fontsource-variable/geist@',
  ])
    expect(faults).toContain(`\n${shipped}`)
  for (const tool of ['vitest@', 'vite@']) expect(faults).not.toContain(`\n${tool}`)
})
