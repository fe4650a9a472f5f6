import { mkdir, statfs } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { CompileProgress } from './compile.ts'
import { withFileLock } from './file-lock.ts'
import { createHubClient, type HubClient } from './hub-client.ts'
import { downloadFile, partialPath, sizeOf } from './hub-download.ts'
import { HubError, HubUnreachableError } from './hub-error.ts'
import { type RepositoryKind, WHOLE_MODEL } from './hub-files.ts'
import { type Listing, listRepository, type RemoteFile } from './hub-listing.ts'
import { type HubOptions, settleHubOptions } from './hub-options.ts'
import { createDownloadProgress, formatBytes } from './hub-progress.ts'
import { isCommit, type Repository, repositoryFolder } from './hub-repository.ts'
import { findKept, isComplete, markComplete } from './kept-downloads.ts'
import { readShardNames } from './weights-source.ts'

export type FetchOptions = {
  dataDir: string
  hub?: HubOptions
  /** A whole model when absent. */
  kind?: RepositoryKind
  onProgress?: (progress: CompileProgress) => void
}

const ATTEMPTS_WITH_COPY = 2 // a copy on disk is better than a minute of trying

/**
 * Downloads what a compile needs of a repository to `sources/<owner>--<name>/<commit>` below `dataDir`, and goes on
 * where an earlier call was cut. A commit that is there whole needs no network; a branch that was downloaded before
 * is used as it is while the hub cannot be reached.
 * @throws HubError in one sentence with what to do
 */
export async function fetchRepository(
  repository: Repository,
  options: FetchOptions,
): Promise<{ folder: string; commit: string }> {
  const { id, revision } = repository
  const { probes, folder: part } = options.kind ?? WHOLE_MODEL
  const home = join(repositoryFolder(options.dataDir, repository), part)
  const place = (commit: string) => ({ folder: join(home, commit), commit })
  if (isCommit(revision) && (await isComplete(join(home, revision)))) return place(revision)
  const client = createHubClient(settleHubOptions(options.hub))
  const onNote = (message: string) => options.onProgress?.({ message, done: 0, total: 0 })
  const kept = await findKept(home, revision)
  try {
    const attempts = kept ? ATTEMPTS_WITH_COPY : undefined
    const listing = await listRepository(client, repository, { probes, onNote, attempts })
    await fetchCommit(client, repository, listing, place(listing.commit).folder, options, onNote)
    return place(listing.commit)
  } catch (error) {
    if (!(error instanceof HubUnreachableError) || !kept) throw error
    onNote(`${error.message}. Using commit ${kept} of ${id}, which was downloaded before`)
    return place(kept)
  } finally {
    client.close()
  }
}

async function fetchCommit(
  client: HubClient,
  repository: Repository,
  listing: Listing,
  folder: string,
  { onProgress, kind = WHOLE_MODEL }: FetchOptions,
  onNote: (message: string) => void,
): Promise<void> {
  const { id, revision = 'main' } = repository
  if (await isComplete(folder)) return markComplete(folder, revision)
  await mkdir(folder, { recursive: true }).catch((cause: Error) => {
    throw new HubError(`${folder} cannot be made: ${cause.message}; check DATA_DIR`, { cause })
  })
  const { heartbeatMs, staleMs, progressMs } = client.settings.timing
  const onWait = (holder: string) => onNote(`Waiting for ${holder}, which is downloading ${id}`)
  await withFileLock(`${folder}.lock`, { heartbeatMs, staleMs, onWait }, async (signal) => {
    if (await isComplete(folder)) return markComplete(folder, revision)
    const download = async (file: RemoteFile, onBytes: (bytes: number) => void) => {
      const target = join(folder, file.path)
      const common = { repository, commit: listing.commit, file, target, signal, onNote }
      if ((await sizeOf(target)) !== file.bytes) await downloadFile(client, { ...common, onBytes })
    }
    const files = await planFiles({ id, kind, listing, folder }, (index) => download(index, () => {}))
    await checkSpace(id, files, folder)
    const total = files.reduce((sum, { bytes }) => sum + bytes, 0)
    const report = createDownloadProgress({ id, total, everyMs: progressMs, onProgress })
    let done = 0
    for (const file of files) {
      await download(file, (bytes) => report(done + bytes))
      done += file.bytes
    }
    const unhashed = files.filter(({ hash }) => !hash).length
    if (unhashed > 0)
      onNote(`${id}: the hub gave no hash for ${unhashed} of ${files.length} files; only sizes were checked`)
    await markComplete(folder, revision, Object.fromEntries(files.map(({ path, bytes }) => [path, bytes])))
    onNote(`Downloaded ${id} at commit ${listing.commit}: ${files.length} files, ${formatBytes(total)}`)
  })
}

/** All files with their sizes; indexes are downloaded at once, because they name the shards. */
async function planFiles(
  { id, kind, listing, folder }: { id: string; kind: RepositoryKind; listing: Listing; folder: string },
  download: (index: RemoteFile) => Promise<void>,
): Promise<RemoteFile[]> {
  const { files, indexes } = await kind.choose(id, listing.has)
  const paths = [...files]
  for (const path of indexes) {
    await download(await listing.describe(path))
    const shards = await readShardNames(join(folder, path), path)
    paths.push(path, ...shards.map((shard) => join(dirname(path), basename(shard))))
  }
  const described: RemoteFile[] = []
  for (const path of paths) described.push(await listing.describe(path))
  return described
}

async function checkSpace(id: string, files: RemoteFile[], folder: string): Promise<void> {
  let needed = 0
  for (const { path, bytes } of files) {
    const target = join(folder, path)
    const kept = Math.max(await sizeOf(target), await sizeOf(partialPath(target)))
    needed += Math.max(0, bytes - kept)
  }
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  if (needed > free)
    throw new HubError(
      `${id} needs ${formatBytes(needed)} more, and ${folder} has ${formatBytes(free)} free; free ${formatBytes(needed - free)} or set DATA_DIR to a larger disk`,
    )
}
