// Audits what this project depends on with nothing but the lockfile and what is installed: where packages come from, that
// their content is fixed, under which licences they are shipped, and which want to run scripts.
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { findImports } from './check-imports.ts'

const ROOT = join(import.meta.dirname, '..')
const PAGE = 'apps/web' // its devDependencies are shipped where the page's sources import them: Vite bundles them
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall']
const EXACT = /^\d+\.\d+\.\d+(-[\w.-]+)?$/
const FROM_REGISTRY = /^(@[\w.~-]+\/)?[\w.~-]+@\d+\.\d+\.\d+(-[\w.-]+)?$/

/** What may be shipped with a program under Apache-2.0 and asks for no more than a notice. */
const LICENCES = [
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'OFL-1.1', // fonts
]

/** Licences that are fit for one package alone. */
const LICENCES_OF: Record<string, string[]> = {
  // A shared library of its own that sharp loads and anyone can replace, which is what the LGPL asks for.
  '@img/sharp-libvips-': ['LGPL-3.0-or-later'],
}

const Dependencies = z.record(z.string(), z.string()).default({})
const Manifest = z.object({
  dependencies: Dependencies,
  devDependencies: Dependencies,
  optionalDependencies: Dependencies,
  peerDependencies: Dependencies,
})
type Manifest = z.infer<typeof Manifest>

type Installed = { name: string; version: string; licence: unknown; hasInstallScript: boolean }

const Resolved = z.record(z.string(), z.object({ version: z.string() })).default({})
const Lockfile = z.object({
  importers: z.record(
    z.string(),
    z.object({ dependencies: Resolved, devDependencies: Resolved, optionalDependencies: Resolved }),
  ),
  packages: z.record(
    z.string(),
    z.object({ resolution: z.record(z.string(), z.unknown()), deprecated: z.string().optional() }),
  ),
  snapshots: z.record(
    z.string(),
    z.object({ dependencies: Dependencies, optionalDependencies: Dependencies }),
  ),
})
type Lockfile = z.infer<typeof Lockfile>

export type Project = {
  lockfile: Lockfile
  /** Our own manifests, by folder; that of the root is `.`. */
  manifests: Map<string, Manifest>
  /** Manifests of installed packages, by `name@version`. */
  installed: Map<string, Installed>
  /** Whether a package may run install scripts, by name, as pnpm-workspace.yaml says. */
  allowBuilds: Record<string, boolean>
  /** Names of the packages that go into the page. */
  bundled: Set<string>
}

/**
 * Reads what there is to judge.
 * @throws where the lockfile or a manifest is not what pnpm writes
 */
export function readProject(root: string): Project {
  const read = (file: string) => readFileSync(join(root, file), 'utf8')
  const lockfile = Lockfile.parse(parse(read('pnpm-lock.yaml')))
  const manifests = Object.keys(lockfile.importers).map(
    (folder) => [folder, Manifest.parse(JSON.parse(read(join(folder, 'package.json'))))] as const,
  )
  const page = globSync('src/page/**/*.{ts,tsx}', { cwd: join(root, PAGE) })
  return {
    lockfile,
    manifests: new Map(manifests),
    installed: readInstalled(join(root, 'node_modules/.pnpm')),
    allowBuilds: z
      .record(z.string(), z.boolean())
      .parse(parse(read('pnpm-workspace.yaml')).allowBuilds ?? {}),
    bundled: new Set(page.flatMap((file) => findImports(file, read(join(PAGE, file))).map(packageOf))),
  }
}

/** Every fault of what a project depends on, a sentence each; none when all is well. */
export function judgeDependencies(project: Project): string[] {
  const shipped = findShipped(project)
  return [
    ...judgeVersions(project),
    ...judgeSources(project),
    ...shipped.faults,
    ...[...shipped.ids].flatMap((id) => judgeLicence(project, id) ?? []),
    ...[...shipped.ids].flatMap((id) => judgeAge(project, id) ?? []),
    ...judgeInstallScripts(project),
  ]
}

function judgeVersions({ manifests }: Project): string[] {
  return [...manifests].flatMap(([folder, manifest]) =>
    (['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'] as const).flatMap(
      (kind) =>
        Object.entries(manifest[kind])
          .filter(([, version]) => version !== 'workspace:*' && !EXACT.test(version))
          .map(
            ([name, version]) =>
              `${join(folder, 'package.json')}: ${name} is "${version}"; name one version exactly`,
          ),
    ),
  )
}

/** A package of the registry has a name, a version and a hash, and no address: that it comes from there is the default. */
function judgeSources({ lockfile }: Project): string[] {
  return Object.entries(lockfile.packages).flatMap(([id, { resolution }]) => {
    const { integrity, ...address } = resolution
    if (!FROM_REGISTRY.test(id) || Object.keys(address).length > 0)
      return [`${id} does not come from the registry: ${JSON.stringify(address)}`]
    if (!/^sha512-[A-Za-z0-9+/]{86}==$/.test(String(integrity)))
      return [`${id} has no SHA-512 in the lockfile; its content is not fixed`]
    return []
  })
}

/**
 * Finds all that is installed in the images and bundled into the page, by `name@version`. What is optional and not
 * installed is for another kind of machine, and judged there.
 */
function findShipped({ lockfile, installed, bundled }: Project): { ids: Set<string>; faults: string[] } {
  const ids = new Set<string>()
  const visited = new Set<string>()
  const faults: string[] = []

  function visit(name: string, version: string, isOptional: boolean): void {
    if (version.startsWith('link:')) return // a package of ours, which is judged itself
    const key = Object.hasOwn(lockfile.snapshots, version) ? version : `${name}@${version}` // an alias names the package
    if (visited.has(key)) return
    visited.add(key)
    const id = key.replace(/\(.*/, '')
    const snapshot = lockfile.snapshots[key]
    if (!snapshot || !installed.has(id)) {
      if (!isOptional) faults.push(`${id} is needed and not installed; run pnpm install`)
      else visited.delete(key) // it may be needed elsewhere, where it is not optional
      return
    }
    ids.add(id)
    for (const [name, version] of Object.entries(snapshot.dependencies)) visit(name, version, false)
    for (const [name, version] of Object.entries(snapshot.optionalDependencies)) visit(name, version, true)
  }

  for (const [folder, importer] of Object.entries(lockfile.importers)) {
    for (const [name, { version }] of Object.entries(importer.dependencies)) visit(name, version, false)
    for (const [name, { version }] of Object.entries(importer.optionalDependencies))
      visit(name, version, true)
    if (folder !== PAGE) continue
    for (const [name, { version }] of Object.entries(importer.devDependencies))
      if (bundled.has(name)) visit(name, version, false)
  }
  return { ids, faults }
}

function judgeLicence({ installed }: Project, id: string): string | undefined {
  const { name, licence } = installed.get(id)!
  const own = Object.entries(LICENCES_OF).find(([prefix]) => name.startsWith(prefix))?.[1] ?? []
  const isAllowed = (licence: string) => [...LICENCES, ...own].includes(licence)
  if (typeof licence !== 'string') return `${id} names no licence`
  return meetsLicence(licence, isAllowed) ? undefined : `${id} is under ${licence}, which is not on the list`
}

/** Reads an SPDX expression without nested brackets: one of what OR offers, all of what AND joins. */
export function meetsLicence(expression: string, isAllowed: (licence: string) => boolean): boolean {
  const plain = expression.trim().replace(/^\(([^()]*)\)$/, '$1')
  if (/[()]/.test(plain)) return false
  return plain.split(/ OR /i).some((choice) => choice.split(/ AND /i).every((one) => isAllowed(one.trim())))
}

function judgeAge({ lockfile }: Project, id: string): string | undefined {
  const reason = lockfile.packages[id]?.deprecated
  return reason === undefined ? undefined : `${id} is deprecated: ${reason}`
}

/** None is run, for none is needed; the list shows that somebody has looked at each there is. */
function judgeInstallScripts({ lockfile, installed, allowBuilds }: Project): string[] {
  const wanting = Object.keys(lockfile.packages).flatMap((id) => {
    const found = installed.get(id)
    return found?.hasInstallScript ? [found] : []
  })
  const unknown = wanting.filter(({ name }) => !Object.hasOwn(allowBuilds, name))
  const running = Object.entries(allowBuilds).filter(([, runs]) => runs)
  const unused = Object.keys(allowBuilds).filter((name) => !wanting.some((found) => found.name === name))
  return [
    ...unknown.map(
      ({ name, version }) =>
        `${name}@${version} has an install script; look at it and name it under allowBuilds in pnpm-workspace.yaml`,
    ),
    ...running.map(([name]) => `pnpm-workspace.yaml: ${name} may run its install script; say false`),
    ...unused.map((name) => `pnpm-workspace.yaml: ${name} under allowBuilds has no install script here`),
  ]
}

/** What lies in pnpm's store of this project; links in it lead to what is there anyway. */
function readInstalled(store: string): Map<string, Installed> {
  if (!existsSync(store)) throw new Error(`There is nothing at ${store}; run pnpm install.`)
  const folders = readdirSync(store).flatMap((entry) => {
    const folder = join(store, entry, 'node_modules')
    return existsSync(folder) ? packageFolders(folder) : []
  })
  return new Map(
    folders.flatMap((folder) => {
      const file = join(folder, 'package.json')
      if (!existsSync(file)) return []
      const { name, version, license, scripts } = JSON.parse(readFileSync(file, 'utf8'))
      // Package managers run node-gyp for whoever has this file, whether a script says so or not.
      const hasInstallScript =
        INSTALL_SCRIPTS.some((script) => scripts?.[script]) || existsSync(join(folder, 'binding.gyp'))
      return [[`${name}@${version}`, { name, version, licence: license, hasInstallScript }]]
    }),
  )
}

function packageFolders(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => (name.startsWith('@') ? packageFolders(join(folder, name)) : [join(folder, name)]))
}

const packageOf = (specifier: string) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')

if (import.meta.main) {
  const faults = judgeDependencies(readProject(ROOT))
  for (const fault of faults) console.error(fault)
  console.log(faults.length === 0 ? 'Every dependency is as it should be.' : `${faults.length} faults.`)
  process.exitCode = faults.length === 0 ? 0 : 1
}
