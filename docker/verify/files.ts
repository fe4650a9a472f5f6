import { deepEqual, ok } from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { buildah, type Image } from './image.ts'

// What builds images and pages, and what an intruder would like to find.
const TOOLS = [
  'sh',
  'bash',
  'dash',
  'busybox',
  'npm',
  'npx',
  'pnpm',
  'corepack',
  'yarn',
  'apt',
  'apt-get',
  'dpkg',
  'perl',
]
const BUILD_PACKAGES = ['typescript', 'vite', 'vitest', 'rolldown', '@biomejs', 'knip', 'playwright-core']
const SET_ID = 0o6000

/** Says what lies in an image, and throws where that is not what it should be. */
export function checkFiles(part: string, { root }: Image): void {
  const files = listFiles(root)
  deepEqual(
    files.filter((file) => /(^|\/)s?bin\//.test(file) && TOOLS.includes(file.split('/').at(-1)!)),
    [],
    `${part} has tools`,
  )
  const setId = files.filter((file) => statSync(join(root, file)).mode & SET_ID)
  deepEqual(setId, [], `${part} has set-uid programs`)
  const ours = files.filter((file) => !file.includes('node_modules/'))
  deepEqual(
    ours.filter((file) => /\.test\.tsx?$|\/(testing|fixtures)\//.test(file)),
    [],
    `${part} has tests`,
  )
  const isForBuilding = (file: string) => BUILD_PACKAGES.some((name) => file.includes(`/.pnpm/${name}`))
  deepEqual(files.filter(isForBuilding), [], `${part} has build tools`)
  checkRuntimes(part, files)
  const sbom = JSON.parse(readFileSync(join(root, 'app/sbom.cdx.json'), 'utf8'))
  const names: string[] = sbom.components.map(({ name }: { name: string }) => name)
  for (const name of ['node', 'libc6', 'fastify', ...(part === 'web' ? ['react-dom'] : [])])
    ok(names.includes(name), `${part}'s SBOM has no ${name}`)
  console.log(
    `ok  ${part} has ${files.length} files, no shell, no package manager, no set-uid program, no tests; ${names.length} components in its SBOM`,
  )
}

/** Not by glob, which passes over folders such as `.pnpm`. */
function listFiles(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
}

/** ONNX Runtime is in the worker alone, for this processor alone. */
function checkRuntimes(part: string, files: string[]): void {
  const platforms = files.flatMap(
    (file) => /onnxruntime-node\/bin\/napi-v\d+\/(.+?\/.+?)\//.exec(file)?.[1] ?? [],
  )
  deepEqual([...new Set(platforms)], part === 'worker' ? [`linux/${process.arch}`] : [], `${part}'s runtimes`)
}

/** Prints what each image takes on disk and over the network. */
export function printSizes(names: string[]): void {
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
  for (const name of names) {
    const dir = mkdtempSync(join(tmpdir(), 'sdcpu-image-'))
    buildah('push', '--quiet', name, `dir:${dir}`)
    const manifest = JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8'))
    const sizes: number[] = manifest.layers.map(({ size }: { size: number }) => size)
    rmSync(dir, { recursive: true })
    const onDisk = Number(JSON.parse(buildah('images', '--json', name))[0].size.split(' ')[0])
    console.log(
      `${name}: ${onDisk} MB on disk, ${megabytes(sizes.reduce((a, b) => a + b, 0))} to pull (layers ${sizes.map(megabytes).join(', ')})`,
    )
  }
}
