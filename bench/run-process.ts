import { spawn } from 'node:child_process'
import { once } from 'node:events'

/**
 * Runs a program to its end and gives what it printed; what it says on stderr goes to ours.
 * @throws when it does not end with 0
 */
export async function runProcess(
  program: string,
  args: string[],
  { label, env = process.env }: { label: string; env?: NodeJS.ProcessEnv },
): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], env })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (data) => {
    text += data
  })
  const [code, signal] = await Promise.race([
    once(child, 'close'),
    once(child, 'error').then(([cause]) => {
      throw new Error(`${label} could not be started: ${(cause as Error).message}`, { cause })
    }),
  ])
  if (code !== 0) throw new Error(`${label} ended with ${signal ?? `code ${code}`}`)
  return text
}
