import { randomUUID } from 'node:crypto'
import { readFile, readlink, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive } from './draft-folder.ts'

export type LockOptions = {
  heartbeatMs: number
  /** A lock that shows no sign of life for this long is taken over. */
  staleMs: number
  /** Called once, when somebody else holds the lock; `holder` names the process. */
  onWait: (holder: string) => void
}

type Holder = { id: string; host: string; pid: number; place: string }
type Sighting = { text: string; stamp: string }

/**
 * Runs `work` while no other process that uses the same path does. The lock is a file that its holder touches now and
 * then; a holder that was killed is told by its process number on the same machine, elsewhere by its silence, timed
 * by our own clock because other machines' may differ. `signal` aborts when the lock was taken from us, as it can be
 * after a long standstill.
 */
export async function withFileLock<T>(
  path: string,
  options: LockOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const mine = JSON.stringify({
    id: randomUUID(),
    host: hostname(),
    pid: process.pid,
    place: await ownPlace(),
  } satisfies Holder)
  await acquire(path, mine, options)
  const lost = new AbortController()
  const beat = async () => {
    if ((await readText(path)) !== mine) return lost.abort(new Error(`another process took ${path}`))
    const now = new Date()
    await utimes(path, now, now)
  }
  const timer = setInterval(() => beat().catch((error) => lost.abort(error)), options.heartbeatMs)
  try {
    return await work(lost.signal)
  } finally {
    clearInterval(timer)
    if ((await readText(path)) === mine) await rm(path, { force: true })
  }
}

async function acquire(path: string, mine: string, options: LockOptions): Promise<void> {
  let seen: (Sighting & { since: number }) | undefined
  let hasSaid = false
  while (!(await create(path, mine))) {
    const now = await look(path)
    if (!now) continue // it has just been released
    if (now.stamp !== seen?.stamp) seen = { ...now, since: performance.now() }
    const holder = parse(now.text)
    if ((await isDead(holder)) || performance.now() - seen.since > options.staleMs) {
      if (await takeOver(path, mine, now, options)) return
      seen = undefined
      continue
    }
    if (!hasSaid) options.onWait(holder ? `process ${holder.pid} on ${holder.host}` : 'another process')
    hasSaid = true
    await sleep(options.heartbeatMs / 3)
  }
}

async function create(path: string, text: string): Promise<boolean> {
  return writeFile(path, text, { flag: 'wx' }).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false
      throw error
    },
  )
}

/** Of several that take over at once, the one whose file is there after a while has it. */
async function takeOver(
  path: string,
  mine: string,
  judged: Sighting,
  options: LockOptions,
): Promise<boolean> {
  if ((await look(path))?.stamp !== judged.stamp) return false
  const draft = `${path}.${randomUUID()}`
  await writeFile(draft, mine)
  await rename(draft, path)
  await sleep(options.heartbeatMs / 3)
  return (await readText(path)) === mine
}

async function look(path: string): Promise<Sighting | undefined> {
  try {
    const { mtimeNs, ino } = await stat(path, { bigint: true })
    const text = await readFile(path, 'utf8')
    return { text, stamp: `${ino} ${mtimeNs} ${text}` }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

const readText = (path: string) => readFile(path, 'utf8').catch(() => undefined)

/** The holder, unless it was killed between creating the file and writing into it. */
function parse(text: string): Holder | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function isDead(holder: Holder | undefined): Promise<boolean> {
  return holder?.place !== undefined && holder.place === (await ownPlace()) && !isAlive(holder.pid)
}

/** Where process numbers mean the same: this boot of this kernel, and in it this container. Unknown outside Linux. */
async function ownPlace(): Promise<string> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
    return `${boot.trim()} ${await readlink('/proc/self/ns/pid')}`
  } catch {
    return `unknown ${randomUUID()}`
  }
}
