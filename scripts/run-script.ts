import { execFile } from 'node:child_process'
import { join } from 'node:path'

export type Outcome = { code: number; stdout: string; stderr: string }

/** Runs a script of this folder as a process in `cwd`, with its data there too: what the tests of the commands do. */
export function runScript(
  script: string,
  args: string[],
  { cwd, env = {} }: { cwd: string; env?: Record<string, string> },
): Promise<Outcome> {
  const environment = { ...process.env, DATA_DIR: join(cwd, 'data'), ...env }
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(import.meta.dirname, script), ...args],
      { env: environment, cwd },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })
}
