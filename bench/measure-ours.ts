import { join } from 'node:path'
import type { MeasureOrder } from './measure.ts'
import type { ProfileSummary } from './profile.ts'
import { type Command, runInTurns } from './run-in-turns.ts'
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

/** Measures one piece of work in a process of its own. */
export async function measureOurs(
  order: MeasureOrder,
  { repeats, env }: { repeats: number; env?: Record<string, string> },
): Promise<Measurement> {
  const [measurement] = await runInTurns([commandOurs(order, env)], repeats)
  return measurement!
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
