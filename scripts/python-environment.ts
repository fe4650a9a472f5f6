import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createChildren, findProgram } from './child-processes.ts'
import { installDebianPackage } from './debian.ts'

const TOOLS = join(import.meta.dirname, '..', '.tools')

/**
 * Gives the Python of an environment under .tools with the packages of a requirements file, made first where there is none
 * for that list; Debian's python3-venv is installed for it where it may.
 * @throws Error with the fix where there is no python3, or pip fails
 */
export async function findPython(requirements: string, log: (line: string) => void): Promise<string> {
  const hash = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12)
  const folder = join(TOOLS, `python-${hash}`)
  const python = join(folder, 'bin', 'python')
  const stamp = join(folder, '.installed')
  if (existsSync(stamp)) return python
  log(`Making a Python environment in ${folder}...`)
  if (!(await makeEnvironment(folder))) {
    await installDebianPackage('python3-venv', { purpose: "Python's venv module", log })
    if (!(await makeEnvironment(folder)))
      throw new Error(`python3 -m venv ${folder} fails although python3-venv is installed.`)
  }
  const pip = await run(python, '-m', 'pip', 'install', '--quiet', '-r', requirements)
  if (pip.end !== 'code 0') {
    const output = pip.lines.join('\n')
    throw new Error(`pip install -r ${requirements} ended with ${pip.end}; it needs PyPI:\n${output}`)
  }
  // Last, so that an installation that was cut off is not taken for one.
  writeFileSync(stamp, '')
  return python
}

async function makeEnvironment(folder: string): Promise<boolean> {
  rmSync(folder, { recursive: true, force: true })
  if (!findProgram('python3')) return false
  return (await run('python3', '-m', 'venv', folder)).end === 'code 0'
}

async function run(program: string, ...args: string[]): Promise<{ end: string; lines: string[] }> {
  const child = createChildren().start({ name: program, program, args, env: process.env })
  return { end: await child.ended, lines: child.lastLines() }
}
