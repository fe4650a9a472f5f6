import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { findProgram } from './child-processes.ts'

/**
 * Installs a package of Debian's where this process may; says so first, since it changes the machine.
 * @throws where it may not, or apt-get fails: one sentence with the fix.
 */
export async function installDebianPackage(
  name: string,
  { purpose, log }: { purpose: string; log: (line: string) => void },
): Promise<void> {
  const fix = `install it (on Debian: apt-get install ${name})`
  if (!findProgram('apt-get') || process.getuid?.() !== 0) {
    throw new Error(`${purpose} is needed and was not found: ${fix}, or run this as root on Debian.`)
  }
  log(`Installing Debian's ${name}, because ${purpose} is needed and was not found...`)
  // A source that fails to update, such as somebody's own, need not be the one that has the package.
  const update = await aptGet('update')
  const install = await aptGet('install', '--yes', '--no-install-recommends', name)
  if (install.code === 0) return
  const output = [update.output, install.output].filter(Boolean).join('\n')
  throw new Error(`apt-get install ${name} ended with code ${install.code}; ${fix} by hand.\n${output}`)
}

/** In a group of its own: Ctrl-C in the middle would leave dpkg half done, so it is let finish. */
async function aptGet(...args: string[]): Promise<{ code: number; output: string }> {
  const child = spawn('apt-get', ['--quiet', ...args], {
    detached: true,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output = (output + text).slice(-2000)
    })
  }
  const [code] = await once(child, 'close')
  return { code, output: output.trim() }
}
