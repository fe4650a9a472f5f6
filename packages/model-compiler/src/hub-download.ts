import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { dirname } from 'node:path'
import type { HubClient } from './hub-client.ts'
import { HubError, TransientError } from './hub-error.ts'
import { type FileHash, type RemoteFile, resolvePath } from './hub-listing.ts'
import { explainRefusal } from './hub-refusal.ts'
import type { Repository } from './hub-repository.ts'
import { retry } from './hub-retry.ts'

export type DownloadOptions = {
  repository: Repository
  commit: string
  file: RemoteFile
  target: string
  /** Bytes of this file that are on disk. */
  onBytes: (bytes: number) => void
  onNote: (message: string) => void
  signal: AbortSignal
}

const MAX_DAMAGED = 2 // one bad transfer can happen; twice the same way is no accident
const READ_BYTES = 4 << 20

/**
 * Downloads one file to `target`, which appears whole or not at all. What was received is kept as `target.partial`,
 * and a later call, of this process or another, goes on from there: at a commit the content never changes, and the
 * hash at the end tells. Without a hash nothing is trusted that an earlier process left.
 * @throws HubError when the hub refuses it, its bytes are wrong twice, or the disk does not take them
 */
export async function downloadFile(client: HubClient, options: DownloadOptions): Promise<void> {
  const { file, target, repository, onNote, signal } = options
  const partial = partialPath(target)
  await onDisk(target, mkdir(dirname(target), { recursive: true }))
  if (!file.hash) await rm(partial, { force: true })
  let furthest = await sizeOf(partial)
  let damaged = 0
  let reached = furthest
  const onBytes = (bytes: number) => {
    reached = bytes
    options.onBytes(bytes)
  }
  const attempt = async () => {
    await receive(client, { ...options, onBytes }, partial)
    const fault = await findFault(partial, file)
    if (!fault) return
    await rm(partial, { force: true })
    damaged += 1
    if (damaged === MAX_DAMAGED)
      throw new HubError(
        `${repository.id}, ${file.path}: ${fault}, ${MAX_DAMAGED} times; a proxy or mirror on the way changes it. Try another HF_ENDPOINT`,
      )
    throw new TransientError(fault)
  }
  const hasAdvanced = () => {
    const isFurther = reached > furthest
    furthest = Math.max(furthest, reached)
    return isFurther
  }
  const what = `${repository.id}, ${file.path}`
  await retry(attempt, { timing: client.settings.timing, what, onNote, hasAdvanced, signal })
  await onDisk(target, rename(partial, target))
}

export const partialPath = (target: string) => `${target}.partial`

/** Asks for what is missing and writes it behind what is there. */
async function receive(client: HubClient, options: DownloadOptions, partial: string): Promise<void> {
  const { repository, commit, file } = options
  const kept = await sizeOf(partial)
  if (kept > file.bytes) await rm(partial)
  if (kept === file.bytes && file.bytes > 0) return
  const start = kept > file.bytes ? 0 : kept
  const answer = await client.get(
    resolvePath(repository, commit, file.path),
    start > 0 ? { range: `bytes=${start}-` } : {},
  )
  if (!answer.found) {
    const { refusal } = answer
    if (refusal.status === 416) {
      await rm(partial, { force: true })
      throw new TransientError(`the rest from byte ${start} is refused, though ${file.bytes} are expected`)
    }
    const { endpoint, token } = client.settings
    throw explainRefusal(refusal, repository, { endpoint, hasToken: token !== undefined })
  }
  const { response } = answer
  try {
    const at = startOf(response, start, file)
    const handle = await onDisk(partial, open(partial, at === 0 ? 'w' : 'r+'))
    try {
      await write(response, handle, at, options)
      await onDisk(partial, handle.sync())
    } finally {
      await handle.close()
    }
  } finally {
    response.destroy()
  }
}

/** Where the body begins: a server without ranges sends everything again. */
function startOf({ statusCode, headers }: IncomingMessage, wanted: number, { bytes }: RemoteFile): number {
  if (statusCode !== 206) {
    const announced = headers['content-length']
    if (announced !== undefined && Number(announced) !== bytes)
      throw new TransientError(`${announced} bytes are offered; ${bytes} are expected`)
    return 0
  }
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers['content-range'] ?? '')
  if (Number(range?.[1]) !== wanted || (range?.[2] !== '*' && Number(range?.[2]) !== bytes))
    throw new TransientError(
      `the rest of ${bytes} bytes from byte ${wanted} was asked for, "${headers['content-range'] ?? ''}" came`,
    )
  return wanted
}

async function write(
  response: IncomingMessage,
  handle: FileHandle,
  start: number,
  { file, onBytes, signal }: DownloadOptions,
): Promise<void> {
  let at = start
  onBytes(at)
  const chunks: AsyncIterator<Buffer> = response[Symbol.asyncIterator]()
  while (true) {
    signal.throwIfAborted()
    const { done, value } = await chunks.next().catch((error) => {
      throw cut(error, at, file)
    })
    if (done) break
    if (at + value.length > file.bytes) {
      await handle.truncate(0)
      throw new TransientError(`more than the expected ${file.bytes} bytes came`)
    }
    await onDisk(file.path, handle.write(value, 0, value.length, at))
    at += value.length
    onBytes(at)
  }
  if (at < file.bytes) throw cut(undefined, at, file)
}

function cut(cause: Error | undefined, at: number, { bytes }: RemoteFile): Error {
  const why = cause ? ` (${cause.message})` : ''
  return new TransientError(`cut at byte ${at} of ${bytes}${why}`, { cause })
}

/** Compares what is on disk with what the hub says of it. */
async function findFault(path: string, { bytes, hash }: RemoteFile): Promise<string | undefined> {
  const found = await sizeOf(path)
  if (found !== bytes) return `${found} bytes arrived; ${bytes} are expected`
  if (!hash) return undefined
  const sums = await digest(path, bytes, hash.kind)
  if (sums.includes(hash.hex)) return undefined
  const name = hash.kind === 'sha256' ? 'SHA-256' : 'SHA-1'
  return `its ${name} is ${sums[0]}; the hub says ${hash.hex}`
}

async function digest(path: string, bytes: number, kind: FileHash['kind']): Promise<string[]> {
  // Git hashes a header together with the content; some mirrors give the hash of the content alone.
  const hashes =
    kind === 'sha256'
      ? [createHash('sha256')]
      : [createHash('sha1').update(`blob ${bytes}\0`), createHash('sha1')]
  for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES }))
    for (const hash of hashes) hash.update(chunk)
  return hashes.map((hash) => hash.digest('hex'))
}

export async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  )
}

/** A disk that refuses is nothing that another try cures. */
async function onDisk<T>(path: string, work: Promise<T>): Promise<T> {
  return work.catch((cause: NodeJS.ErrnoException) => {
    const advice = cause.code === 'ENOSPC' ? '; free space or set DATA_DIR to a larger disk' : ''
    throw new HubError(`${path} cannot be written: ${cause.message}${advice}`, { cause })
  })
}
