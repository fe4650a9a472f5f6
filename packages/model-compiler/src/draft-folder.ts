import { randomUUID } from 'node:crypto'
import { readdir, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'

const MARK = '.partial.'
const inUse = new Set<string>()

/**
 * Fills a folder under another name and gives it its own in one rename, so that `folder` is whole or absent.
 * Drafts that killed processes of this machine left behind are removed first: they can be gigabytes.
 * Where another process publishes first, `isWhole` finds its result good and ours is dropped.
 */
export async function publishFolder(
  folder: string,
  isWhole: () => Promise<boolean>,
  fill: (draft: string) => Promise<unknown>,
): Promise<void> {
  await removeAbandoned(dirname(folder))
  const draft = `${folder}${MARK}${hostname()}.${process.pid}.${randomUUID()}`
  inUse.add(draft)
  try {
    await fill(draft)
    await rename(draft, folder).catch(async (error) => {
      if (!(await isWhole())) throw error
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
    inUse.delete(draft)
  }
}

async function removeAbandoned(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const [, owner] = name.split(MARK)
    const path = join(parent, basename(name))
    if (owner && !inUse.has(path) && isAbandoned(owner)) await rm(path, { recursive: true, force: true })
  }
}

/** True for a draft of this machine whose process is gone. A container's restarted process has its old number again. */
function isAbandoned(owner: string): boolean {
  const parts = owner.split('.')
  const pid = Number(parts.at(-2))
  if (parts.slice(0, -2).join('.') !== hostname()) return false
  return pid === process.pid || !isAlive(pid)
}

/** True while this machine has a process of that number. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
