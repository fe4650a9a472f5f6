import { join } from 'node:path'
import type { MeasureOrder } from './measure.ts'
import type { ProfileSummary } from './profile.ts'
import { runProcess } from './run-process.ts'
import { type Measurement, nameOf } from './stage.ts'

const SCRIPT = join(import.meta.dirname, 'measure.ts')

/** Measures one piece of work in a process of its own. */
export async function measureOurs(order: MeasureOrder): Promise<Measurement> {
  return JSON.parse(await runOrder(order))
}

/** Counts the products of one piece of work, in another process: profiling takes memory that would be measured with it. */
export async function countGmac(order: MeasureOrder): Promise<number> {
  const { gmac } = JSON.parse(await runOrder({ ...order, profile: 'first' })) as ProfileSummary
  return gmac
}

/** Profiles one piece of work at one thread, where shares of the time are shares of the work. */
export async function profileOurs(order: Omit<MeasureOrder, 'threads' | 'repeats'>): Promise<ProfileSummary> {
  return JSON.parse(await runOrder({ ...order, threads: 1, repeats: 1, profile: 'warm' }))
}

const runOrder = (order: MeasureOrder) =>
  runProcess(process.execPath, [SCRIPT, JSON.stringify(order)], { label: `measuring ${nameOf(order)}` })
