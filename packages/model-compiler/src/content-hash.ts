import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pipeline } from 'node:stream/promises'

const CHUNK_BYTES = 4 << 20
const READ_ONLY = ['EROFS', 'EACCES', 'EPERM']

/** SHA-256 of a file's bytes, read in chunks. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: CHUNK_BYTES }), hash)
  return hash.digest('hex')
}

/**
 * Hashes a source's files, which `files` names to their paths, and its settings. Hashes of files are remembered in `memoPath` by size and modification time, so that a model of
 * several gigabytes is read once, not at every start.
 */
export async function hashFiles(
  files: Record<string, string>,
  memoPath: string,
  settings: Record<string, number> = {},
): Promise<{ hash: string; files: Record<string, string> }> {
  const memo = await readMemo(memoPath)
  const hashes: Record<string, string> = {}
  let hasNews = false
  for (const [file, path] of Object.entries(files)) {
    const { size, mtimeNs, ino } = await stat(path, { bigint: true })
    const stamp = `${ino} ${size} ${mtimeNs}`
    const known = memo[path]
    const sha256 = known?.stamp === stamp ? known.sha256 : await sha256OfFile(path)
    hasNews ||= known?.stamp !== stamp
    memo[path] = { stamp, sha256 }
    hashes[file] = sha256
  }
  if (hasNews) await writeMemo(memoPath, memo)
  return {
    hash: createHash('sha256')
      .update(JSON.stringify({ ...hashes, ...settings }))
      .digest('hex'),
    files: hashes,
  }
}

type Memo = Record<string, { stamp: string; sha256: string }>

/** Where somebody else has prepared a folder that is read-only here, there is no memo of our own. */
async function writeMemo(path: string, memo: Memo): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true })
    const draft = `${path}.${randomUUID()}`
    await writeFile(draft, JSON.stringify(memo))
    await rename(draft, path)
  } catch (error) {
    if (!READ_ONLY.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

/** A memo that cannot be read costs time, nothing else: the files are hashed again. */
async function readMemo(path: string): Promise<Memo> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch {
    return {}
  }
}
