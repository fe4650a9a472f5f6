import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, relative, sep } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export type Files = Map<string, Buffer>

const CUT_PAUSE_MS = 150

/** What goes wrong with one answer. */
export type Fault = {
  /** Instead of the answer. */
  status?: number
  headers?: Record<string, string>
  /** The connection ends behind this many bytes of the body. */
  cutAfter?: number
  /** Nothing more comes behind this many bytes, but the connection stays. */
  stallAfter?: number
  /** Pause before each piece of the body. */
  trickleMs?: number
  /** One byte of the body is another. */
  corrupt?: boolean
}

export type Seen = {
  server: 'hub' | 'cdn'
  method: string
  /** Path of the file in its repository, or of the request. */
  path: string
  authorization?: string
  range?: string
  status: number
  /** Bytes of body that were sent. */
  sent: number
}

export type HubDouble = {
  url: string
  seen: Seen[]
  /** Branches by name; every value is a commit. */
  branches: Map<string, string>
  commits: Map<string, Files>
  options: HubDoubleOptions
  /** Decides what goes wrong with a request; `nth` counts the requests of that method for that path, from 1. */
  spoil: (request: Pick<Seen, 'server' | 'method' | 'path'> & { nth: number }) => Fault | undefined
  /** Adds a commit and moves the branch to it. */
  commit(files: Files, branch?: string): string
  close(): Promise<void>
}

export type HubDoubleOptions = {
  id?: string
  /** Without it the API's path is 404, as on a mirror of files only. */
  hasApi?: boolean
  hasRanges?: boolean
  hasCommitHeader?: boolean
  hasHashes?: boolean
  /** The token without which everything is 401. */
  token?: string
  /** Without the licence accepted files are 401 or 403, though the API answers. */
  isGated?: boolean
}

const PIECES = 8

/**
 * A hub of one repository on the loopback, with the real one's paths and headers: large files are redirected to a
 * second origin, small ones below the first.
 */
export async function startHubDouble(options: HubDoubleOptions = {}): Promise<HubDouble> {
  const counts = new Map<string, number>()
  const blobs = new Map<string, Buffer>()
  const cdn = createServer((request, response) => void answer(request, response, 'cdn'))
  const hub = createServer((request, response) => void answer(request, response, 'hub'))
  const cdnUrl = await listen(cdn)
  const double: HubDouble = {
    url: await listen(hub),
    seen: [],
    branches: new Map(),
    commits: new Map(),
    options: {
      id: 'owner/name',
      hasApi: true,
      hasRanges: true,
      hasCommitHeader: true,
      hasHashes: true,
      ...options,
    },
    spoil: () => undefined,
    commit(files, branch = 'main') {
      const hash = createHash('sha1')
      for (const [path, bytes] of files) hash.update(path).update(bytes)
      const commit = hash.digest('hex')
      double.commits.set(commit, files)
      double.branches.set(branch, commit)
      return commit
    },
    async close() {
      for (const server of [hub, cdn]) {
        server.closeAllConnections()
        server.close()
        await once(server, 'close')
      }
    },
  }
  return double

  async function answer(
    request: IncomingMessage,
    response: ServerResponse,
    server: 'hub' | 'cdn',
  ): Promise<void> {
    const method = request.method ?? ''
    const url = new URL(request.url ?? '', 'http://hub')
    const target = parseTarget(url.pathname)
    const path = url.searchParams.get('path') ?? target?.path ?? url.pathname
    const { authorization, range } = request.headers
    const entry: Seen = { server, method, path, authorization, range, status: 0, sent: 0 }
    double.seen.push(entry)
    const key = `${server} ${method} ${path}`
    const nth = (counts.get(key) ?? 0) + 1
    counts.set(key, nth)
    const fault = double.spoil({ server, method, path, nth }) ?? {}
    const reply: Reply = {
      entry,
      method,
      response,
      fault,
      range: double.options.hasRanges ? range : undefined,
    }
    if (fault.status) return end(reply, fault.status, fault.headers)
    if (url.pathname.startsWith('/blob/')) return send(reply, blobs.get(url.pathname.slice(6))!, {})
    const refusal = refuse(url, authorization, target?.revision)
    if (refusal) return end(reply, refusal.status, refusal.headers)
    if (!target) return sendInfo(reply, url)
    sendFile(reply, target)
  }

  function refuse(url: URL, authorization: string | undefined, revision: string | undefined) {
    const { id, token, isGated, hasApi } = double.options
    const isApi = url.pathname.startsWith('/api/')
    const deny = (status: number, code: string, message: string) => ({
      status,
      headers: { 'x-error-code': code, 'x-error-message': message },
    })
    if (isApi && !hasApi) return { status: 404, headers: {} }
    if (!url.pathname.includes(`/${id}/`)) return deny(401, 'RepoNotFound', 'Invalid username or password.')
    if (isGated && !isApi)
      return deny(
        authorization ? 403 : 401,
        'GatedRepo',
        `Access to model ${id} is restricted. You must have access to it and be authenticated to access it.`,
      )
    if (token && authorization !== `Bearer ${token}`)
      return deny(401, 'RepoNotFound', 'Invalid username or password.')
    const name = revision ?? decodeURIComponent(url.pathname.split('/').at(-1) ?? '')
    if (!findCommit(name)) return deny(404, 'RevisionNotFound', `Invalid rev id: ${name}`)
    return undefined
  }

  function findCommit(revision: string): string | undefined {
    return double.branches.get(revision) ?? (double.commits.has(revision) ? revision : undefined)
  }

  function sendInfo(reply: Reply, url: URL): void {
    const sha = findCommit(decodeURIComponent(url.pathname.split('/').at(-1) ?? ''))!
    const siblings = [...double.commits.get(sha)!.keys()].map((rfilename) => ({ rfilename }))
    const body = Buffer.from(JSON.stringify({ id: double.options.id, sha, siblings }))
    void send(reply, body, { 'content-type': 'application/json' })
  }

  function sendFile(reply: Reply, { revision, path }: { revision: string; path: string }): void {
    const { hasCommitHeader, hasHashes } = double.options
    const commit = findCommit(revision)!
    const bytes = double.commits.get(commit)!.get(path)
    const facts: Record<string, string> = hasCommitHeader ? { 'x-repo-commit': commit } : {}
    if (!bytes) {
      const missing = { 'x-error-code': 'EntryNotFound', 'x-error-message': 'Entry not found' }
      end(reply, 404, double.options.hasApi ? { ...facts, ...missing } : facts)
      return
    }
    if (!/\.(safetensors|bin|onnx)$/.test(path)) {
      const sum = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')
      void send(reply, bytes, hasHashes ? { ...facts, etag: `"${sum}"` } : facts)
      return
    }
    const sum = createHash('sha256').update(bytes).digest('hex')
    blobs.set(sum, bytes)
    end(reply, 302, {
      ...facts,
      'x-linked-size': reply.fault.headers?.['x-linked-size'] ?? String(bytes.length),
      ...(hasHashes && { 'x-linked-etag': `"${sum}"` }),
      etag: '"a-store-of-its-own-1"',
      location: `${cdnUrl}/blob/${sum}?path=${encodeURIComponent(path)}&signature=x`,
    })
  }
}

type Reply = {
  entry: Seen
  method: string
  response: ServerResponse
  fault: Fault
  range: string | undefined
}

function end({ entry, response }: Reply, status: number, headers: Record<string, string> = {}): void {
  entry.status = status
  response.writeHead(status, headers).end()
}

async function send(
  { entry, method, response, fault, range }: Reply,
  whole: Buffer,
  headers: Record<string, string>,
): Promise<void> {
  const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
  if (start >= whole.length && start > 0) return end({ entry, response } as Reply, 416)
  entry.status = start > 0 ? 206 : 200
  const body = Buffer.from(whole.subarray(start))
  if (fault.corrupt) body[body.length >> 1]! ^= 1
  const contentRange = `bytes ${start}-${whole.length - 1}/${whole.length}`
  response.writeHead(entry.status, {
    ...headers,
    ...(start > 0 && { 'content-range': contentRange }),
    'content-length': body.length,
  })
  if (method === 'HEAD') return void response.end()
  const limit = fault.cutAfter ?? fault.stallAfter ?? body.length
  const piece = Math.max(1, Math.ceil(body.length / PIECES))
  for (let at = 0; at < limit; at += piece) {
    if (fault.trickleMs) await sleep(fault.trickleMs)
    const part = body.subarray(at, Math.min(at + piece, limit))
    if (response.destroyed) return
    response.write(part)
    entry.sent += part.length
  }
  if (fault.stallAfter !== undefined) return
  if (fault.cutAfter === undefined) return void response.end()
  // Node throws away what a client has not read yet when the end comes early; a busy machine needs the time to read it.
  if (limit > 0) await sleep(CUT_PAUSE_MS)
  response.socket?.end() // behind what was written, so that all of it arrives
}

function parseTarget(pathname: string): { revision: string; path: string } | undefined {
  const match = /^\/[^/]+\/[^/]+\/resolve\/([^/]+)\/(.+)$/.exec(pathname)
  return match ? { revision: decodeURIComponent(match[1]!), path: decodeURIComponent(match[2]!) } : undefined
}

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A folder's files, as a repository has them. */
export async function readFiles(folder: string): Promise<Files> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files: Files = new Map()
  for (const entry of entries.filter((entry) => entry.isFile())) {
    const path = join(entry.parentPath, entry.name)
    files.set(relative(folder, path).replaceAll(sep, '/'), await readFile(path))
  }
  return files
}
