// Adds to the bill of materials that pnpm wrote of the installed npm packages what else is in an image: Node, Debian's
// packages, and the packages that were built into the page.
//   node complete-sbom.ts SBOM PACKAGES_DIR [PAGE_SBOM NAME...] > COMPLETE_SBOM
// PACKAGES_DIR holds one file a package, as `dpkg --status` prints it. PAGE_SBOM is pnpm's with the packages for
// development; taken from it are those named and all that they depend on.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

type Component = {
  type: string
  group?: string
  name: string
  version: string
  purl: string
  'bom-ref': string
  cpe?: string
}
type Dependency = { ref: string; dependsOn?: string[] }
type Sbom = { components: Component[]; dependencies: Dependency[] }

const TYPES = 'pkg:npm/%40types/' // peers of what is bundled, gone once compiled

const [sbomFile, packagesDir, pageSbomFile, ...bundledNames] = process.argv.slice(2)
if (!sbomFile || !packagesDir)
  throw new Error('usage: complete-sbom.ts SBOM PACKAGES_DIR [PAGE_SBOM NAME...]')

const sbom: Sbom = readJson(sbomFile)
const packages = readdirSync(packagesDir).filter((name) => !name.endsWith('.md5sums'))
sbom.components.push(describeNode(), ...packages.map(describePackage))
if (pageSbomFile) addBundled(readJson(pageSbomFile))
console.log(JSON.stringify(sbom, undefined, 1))

function describeNode(): Component {
  const { node } = process.versions
  const purl = `pkg:generic/node@${node}`
  const cpe = `cpe:2.3:a:nodejs:node.js:${node}:*:*:*:*:*:*:*`
  return { type: 'platform', name: 'node', version: node, purl, 'bom-ref': purl, cpe }
}

function describePackage(file: string): Component {
  const status = readFileSync(join(packagesDir!, file), 'utf8')
  const [name, version, architecture] = ['Package', 'Version', 'Architecture'].map((field) =>
    readField(status, field),
  )
  const purl = `pkg:deb/debian/${encode(name!)}@${encode(version!)}?arch=${architecture}`
  return { type: 'library', name: name!, version: version!, purl, 'bom-ref': purl }
}

function readField(status: string, field: string): string {
  const value = new RegExp(`^${field}: (.+)$`, 'm').exec(status)?.[1]
  if (!value) throw new Error(`a package's status has no ${field}:\n${status.slice(0, 200)}`)
  return value
}

// The purl grammar leaves ":" as it is and writes "+" as %2B.
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll('%3A', ':')
}

function addBundled(page: Sbom): void {
  const dependencies = new Map(page.dependencies.map(({ ref, dependsOn = [] }) => [ref, dependsOn]))
  const known = new Set(sbom.components.map((component) => component['bom-ref']))
  const waiting = bundledNames.map((name) => findByName(page, name)['bom-ref'])
  for (const ref of waiting) {
    if (known.has(ref)) continue
    known.add(ref)
    const component = page.components.find((component) => component['bom-ref'] === ref)
    if (!component) throw new Error(`${pageSbomFile} depends on ${ref}, which it does not list`)
    const dependsOn = (dependencies.get(ref) ?? []).filter((ref) => !ref.startsWith(TYPES))
    sbom.components.push(component)
    sbom.dependencies.push({ ref, dependsOn })
    waiting.push(...dependsOn)
  }
}

function findByName(page: Sbom, wanted: string): Component {
  const found = page.components.find(({ group, name }) => [group, name].filter(Boolean).join('/') === wanted)
  if (!found) throw new Error(`${pageSbomFile} has no ${wanted}`)
  return found
}

function readJson(file: string): Sbom {
  return JSON.parse(readFileSync(file, 'utf8'))
}
