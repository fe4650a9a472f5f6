import { findProgram } from './child-processes.ts'
import { installDebianPackage } from './debian.ts'

/** Finds Chromium for the browser tests: `CHROMIUM_PATH`, one on PATH, or Debian's, installed first where it may. */
export async function findChromium(log: (line: string) => void): Promise<string> {
  if (process.env.CHROMIUM_PATH) return process.env.CHROMIUM_PATH
  const find = () => findProgram('chromium', 'chromium-browser', 'google-chrome')
  const found = find()
  if (found) return found
  await installDebianPackage('chromium', { purpose: 'Chromium', log })
  const installed = find()
  if (!installed) throw new Error("Debian's chromium was installed but is not on PATH.")
  return installed
}
