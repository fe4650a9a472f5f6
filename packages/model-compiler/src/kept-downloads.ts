import { randomUUID } from 'node:crypto'
import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { isCommit } from './hub-repository.ts'

/** `complete.json` of a finished download, written last. */
const Complete = z.object({
  /** The names under which this commit was asked for. */
  revisions: z.array(z.string()),
  files: z.record(z.string(), z.int().nonnegative()),
})
type Complete = z.infer<typeof Complete>

const MARKER = 'complete.json'

/** Tells whether a commit's folder holds everything it should. */
export async function isComplete(folder: string): Promise<boolean> {
  return (await readComplete(folder)) !== undefined
}

/** Marks a folder as whole, or notes one more name of its commit. */
export async function markComplete(
  folder: string,
  revision: string,
  files?: Record<string, number>,
): Promise<void> {
  const known = await readComplete(folder)
  const revisions = new Set([...(known?.revisions ?? []), revision])
  if (known && !files && revisions.size === known.revisions.length) return
  const complete: Complete = { revisions: [...revisions], files: files ?? known?.files ?? {} }
  const draft = join(folder, `${MARKER}.${randomUUID()}`)
  await writeFile(draft, `${JSON.stringify(complete, null, 2)}\n`)
  await rename(draft, join(folder, MARKER))
}

/**
 * Finds the commit downloaded last under this revision; without a revision any commit will do, though one that was
 * downloaded as the main branch comes first.
 */
export async function findKept(home: string, revision: string | undefined): Promise<string | undefined> {
  const kept: { commit: string; isAsked: boolean; time: number }[] = []
  for (const commit of await readdir(home).catch(() => [])) {
    const complete = isCommit(commit) ? await readComplete(join(home, commit)) : undefined
    if (!complete) continue
    const isAsked = complete.revisions.includes(revision ?? 'main')
    const { mtimeMs } = await stat(join(home, commit, MARKER))
    if (isAsked || revision === undefined) kept.push({ commit, isAsked, time: mtimeMs })
  }
  kept.sort((a, b) => Number(b.isAsked) - Number(a.isAsked) || b.time - a.time)
  return kept[0]?.commit
}

/** The marker, if every file it names is there in its size: somebody may have tidied up. */
async function readComplete(folder: string): Promise<Complete | undefined> {
  try {
    const complete = Complete.parse(JSON.parse(await readFile(join(folder, MARKER), 'utf8')))
    for (const [path, bytes] of Object.entries(complete.files))
      if ((await stat(join(folder, path))).size !== bytes) return undefined
    return complete
  } catch {
    return undefined
  }
}
