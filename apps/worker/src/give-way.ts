import { readFile, writeFile } from 'node:fs/promises'
import { setPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'

// Whoever waits for an answer waits for milliseconds of drawing that takes seconds. At 19, the most there is, one process that is
// busy beside a worker takes 68 times as much of their core, at 15 it takes 28 times, and callers are answered as quickly.
const NICENESS = 15
const AUTOGROUP = '/proc/self/autogroup'
const RETRY_MS = 150 // Linux takes one such wish in 100 ms, of all processes
const MAX_TRIES = 10

/**
 * Has all else on the machine go first; threads that are started after this inherit it. Where Linux shares time between
 * sessions (autogroup), as most distributions have it, niceness counts only within one, so the session gives way, too,
 * if it is this process's own.
 */
export async function giveWay(): Promise<void> {
  setPriority(NICENESS)
  if (!(await isLeaderOfSession())) return
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const error = await writeFile(AUTOGROUP, String(NICENESS)).catch((error: NodeJS.ErrnoException) => error)
    if (error?.code !== 'EAGAIN') return // done, or there is no such thing here
    await sleep(RETRY_MS)
  }
}

async function isLeaderOfSession(): Promise<boolean> {
  const stat = await readFile('/proc/self/stat', 'utf8').catch(() => undefined) // not Linux
  // The name before it may hold anything: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
  const [, , , session] = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? []
  return Number(session) === process.pid
}
