import { join } from 'node:path'
import type { MeasureOrder } from './measure.ts'
import type { ProfileSummary } from './profile.ts'
import { type Command, fitTogether, runInTurns } from './run-in-turns.ts'
import { runProcess } from './run-process.ts'
import { type Measurement, nameOf } from './stage.ts'

const SCRIPT = join(import.meta.dirname, 'measure.ts')

/** The process that times one piece of work; `env` goes on top of this process's environment. */
export function commandOurs(order: MeasureOrder, env: Record<string, string> = {}): Command {
  return {
    program: process.execPath,
    args: [SCRIPT, JSON.stringify(order)],
    label: `measuring ${nameOf(order)} with ours`,
    env: { ...process.env, ...env },
  }
}

/**
 * Measures the same work in several batch sizes, each in a process of its own; then each batch in turns with a single image,
 * where both fit into the memory: what is measured minutes apart tells of the machine's pace as much as of batches.
 */
export async function measureBatches(
  orders: MeasureOrder[],
  { repeats, rounds, env }: { repeats: number; rounds: number; env: Record<string, string> },
): Promise<Measurement[]> {
  const commands = orders.map((order) => commandOurs(order, env))
  const measured: Measurement[] = []
  for (const command of commands) measured.push(...(await runInTurns([command], repeats)))
  const single = orders.findIndex(({ batch }) => batch === 1)
  if (single < 0) return measured
  for (const [i, measurement] of measured.entries()) {
    if (measurement.batch === 1 || !fitTogether(measured[single]!, measurement)) continue
    const [one, several] = await runInTurns([commands[single]!, commands[i]!], rounds)
    measurement.besideSingle = { single: one!.seconds, batch: several!.seconds }
  }
  return measured
}

/** Counts the products of one piece of work, in another process: profiling takes memory that would be measured with it. */
export async function countGmac(order: MeasureOrder, env?: Record<string, string>): Promise<number> {
  const { gmac } = await runProfile({ ...order, profile: 'first' }, env)
  return gmac
}

/** Profiles one piece of work at one thread, where shares of the time are shares of the work. */
export function profileOurs(order: Omit<MeasureOrder, 'threads'>): Promise<ProfileSummary> {
  return runProfile({ ...order, threads: 1, profile: 'warm' })
}

async function runProfile(order: MeasureOrder, env?: Record<string, string>): Promise<ProfileSummary> {
  const { program, args, ...options } = commandOurs(order, env)
  return JSON.parse(await runProcess(program, args, options))
}
