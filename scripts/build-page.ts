import { createHash } from 'node:crypto'
import { existsSync, globSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Children } from './child-processes.ts'

const ROOT = join(import.meta.dirname, '..')
const WEB = join(ROOT, 'apps', 'web')
const DIST = join(WEB, 'dist')
const STAMP = join(DIST, '.built-from')
const SOURCES = [
  'apps/web/{index.html,package.json,vite.config.ts}',
  'apps/web/{src,public}/**',
  'packages/contract/src/**',
]

/** Builds the web page where it is missing or was built from other sources. */
export async function buildPage({
  children,
  log,
}: {
  children: Children
  log: (line: string) => void
}): Promise<void> {
  const hash = hashSources()
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === hash) return
  log('Building the web page...')
  // Elsewhere and then renamed, so that two builds at once cannot mix their files.
  const partial = join(ROOT, '.tools', `page-${process.pid}`)
  const args = [join(WEB, 'node_modules/vite/bin/vite.js'), 'build', '--outDir', partial, '--emptyOutDir']
  try {
    // Under a test runner, NODE_ENV says "test", and the page would get React's development build.
    const env = { ...process.env, NODE_ENV: 'production' }
    const vite = children.start({ name: 'vite', program: process.execPath, args, cwd: WEB, env })
    const end = await vite.ended
    if (end !== 'code 0')
      throw new Error(`The web page could not be built (${end}):\n${vite.lastLines().join('\n')}`)
    writeFileSync(join(partial, '.built-from'), hash)
    rmSync(DIST, { recursive: true, force: true })
    renameSync(partial, DIST)
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}

function hashSources(): string {
  const files = globSync(SOURCES, { cwd: ROOT }).filter((file) => statSync(join(ROOT, file)).isFile())
  const hash = createHash('sha256')
  for (const file of files.sort()) hash.update(`${file}\n`).update(readFileSync(join(ROOT, file)))
  return hash.digest('hex')
}
