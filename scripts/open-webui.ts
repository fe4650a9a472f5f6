import { execFile } from 'node:child_process'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { findProgram } from './child-processes.ts'
import { findPython } from './python-environment.ts'

const REQUIREMENTS = join(import.meta.dirname, '..', 'e2e', 'open-webui', 'requirements.txt')
const FITS = 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))'

/**
 * Finds the program open-webui: `OPEN_WEBUI`, or one in a Python environment of its own, made first from PyPI (7 GB).
 * @throws Error with the fix where python3 is none that Open WebUI runs on, or pip fails
 */
export async function findOpenWebUi(log: (line: string) => void): Promise<string> {
  if (process.env.OPEN_WEBUI) return process.env.OPEN_WEBUI
  const python = findProgram('python3')
  if (python)
    await promisify(execFile)(python, ['-c', FITS]).catch((cause) => {
      const fix = 'put one of them on PATH first, or name the program open-webui by OPEN_WEBUI'
      throw new Error(`Open WebUI runs on Python 3.11 and 3.12, and ${python} is neither: ${fix}.`, { cause })
    })
  return join(dirname(await findPython(REQUIREMENTS, log)), 'open-webui')
}
