import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runProcess } from './run-process.ts'

/**
 * Gives the Python of an environment under `dataDir` with the packages of `folder`'s `requirements.txt`, made first where
 * there is none for that list.
 * @throws where python3 or its venv module is missing, or pip fails
 */
export async function findPython(
  folder: string,
  dataDir: string,
  say: (line: string) => void,
): Promise<string> {
  const requirements = join(folder, 'requirements.txt')
  const hash = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex')
  const environment = join(dataDir, 'bench', `python-${hash.slice(0, 12)}`)
  const python = join(environment, 'bin', 'python')
  const stamp = join(environment, '.complete')
  if (existsSync(stamp)) return python
  say(`Making a Python environment in ${environment} (one time, 6 GB)...`)
  await rm(environment, { recursive: true, force: true })
  await runProcess('python3', ['-m', 'venv', environment], {
    label: 'python3 -m venv (on Debian: apt-get install python3-venv)',
  })
  await runProcess(python, ['-m', 'pip', 'install', '--quiet', '-r', requirements], { label: 'pip install' })
  await writeFile(stamp, '')
  return python
}
