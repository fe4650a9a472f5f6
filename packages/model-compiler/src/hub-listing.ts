import * as z from 'zod'
import type { Answer, FileFacts, HubClient } from './hub-client.ts'
import { HubError } from './hub-error.ts'
import { explainRefusal } from './hub-refusal.ts'
import { isCommit, type Repository } from './hub-repository.ts'
import { retry } from './hub-retry.ts'

/** A file of a repository at a commit. */
export type RemoteFile = { path: string; bytes: number; hash?: FileHash }

/** SHA-256 for large files; for small ones git's SHA-1, or, on some mirrors, SHA-1 alone. */
export type FileHash = { kind: 'sha256' | 'sha1'; hex: string }

/** A repository at one commit, so that a branch that moves meanwhile cannot mix files. */
export type Listing = {
  commit: string
  has(path: string): Promise<boolean>
  /** @throws HubError when it is not there, or the hub does not tell its size */
  describe(path: string): Promise<RemoteFile>
}

export type AskOptions = {
  /** Files of which a repository of the kind asked for has at least one. */
  probes: string[]
  onNote: (message: string) => void
  attempts?: number
}

const ModelInfo = z.object({
  sha: z.string().refine(isCommit),
  siblings: z.array(z.object({ rfilename: z.string() })),
})

/**
 * Finds the commit behind a revision and its files: from the hub's API, or where a mirror has none, by asking for
 * each file.
 * @throws HubError with the hub's reason when the repository or revision is not there or not ours to read
 */
export async function listRepository(
  client: HubClient,
  repository: Repository,
  options: AskOptions,
): Promise<Listing> {
  const { id, revision = 'main' } = repository
  const info = await askInfo(client, repository, options)
  const heads = new Map<string, Promise<RemoteFile | undefined>>()
  let commit = info?.sha ?? (isCommit(revision) ? revision : undefined)
  commit ??= await askCommit()
  const names = info && new Set(info.siblings.map(({ rfilename }) => rfilename))

  async function askHead(path: string): Promise<RemoteFile | undefined> {
    const { facts } = (await ask(resolvePath(repository, commit ?? revision, path))) ?? {}
    if (!facts) return undefined
    if (commit && facts.commit && facts.commit !== commit)
      throw new HubError(`${id}: ${path} was asked for at commit ${commit}, but comes from ${facts.commit}`)
    if (facts.bytes === undefined)
      throw new HubError(
        `${client.settings.endpoint} gives ${path} of ${id} without a size; it must answer HEAD with X-Linked-Size or Content-Length`,
      )
    return { path, bytes: facts.bytes, hash: readHash(facts.etag) }
  }

  async function ask(path: string) {
    const what = `${id}, ${path.split('/').slice(4).join('/')}`
    const answer = await retry(() => client.head(path), { ...retryOptions(client, options), what })
    return unlessMissing(answer, repository, client)
  }

  /** The commit that the main branch, say, stands at: the hub names it with every file. */
  async function askCommit(): Promise<string> {
    let facts: FileFacts | undefined
    for (const probe of options.probes) facts ??= (await ask(resolvePath(repository, revision, probe)))?.facts
    if (!facts)
      throw new HubError(
        `${client.settings.endpoint} has no ${id} at revision ${revision} in diffusers layout: ${options.probes.join(' or ')} is not there. Check the name and the revision`,
      )
    if (isCommit(facts.commit)) return facts.commit
    throw new HubError(
      `${client.settings.endpoint} does not say which commit revision ${revision} of ${id} is, so files of two could mix; give the commit: ${id}@<40 digits>`,
    )
  }

  function head(path: string): Promise<RemoteFile | undefined> {
    const known = heads.get(path) ?? askHead(path)
    heads.set(path, known)
    return known
  }

  return {
    commit,
    has: async (path) => (names ? names.has(path) : (await head(path)) !== undefined),
    async describe(path) {
      const file = await head(path)
      if (file) return file
      throw new HubError(`${id}: ${path} is not there at commit ${commit}, though it should be`)
    },
  }
}

/** Path below the endpoint under which a file is served. */
export function resolvePath({ id }: Repository, commit: string, path: string): string {
  return `${id}/resolve/${encodeURIComponent(commit)}/${path.split('/').map(encodeURIComponent).join('/')}`
}

/** What the API says, or nothing where the endpoint has no such API. */
async function askInfo(client: HubClient, repository: Repository, options: AskOptions) {
  const { id, revision = 'main' } = repository
  const path = `api/models/${id}/revision/${encodeURIComponent(revision)}`
  const answer = await retry(() => client.getText(path), { ...retryOptions(client, options), what: id })
  if ('refusal' in answer) {
    // A refusal without a code is not the hub's own: a mirror that knows files only.
    if (!answer.refusal.code) return undefined
    throw explain(answer.refusal, repository, client)
  }
  return parseInfo(answer.text)
}

function parseInfo(text: string): z.infer<typeof ModelInfo> | undefined {
  try {
    return ModelInfo.safeParse(JSON.parse(text)).data
  } catch {
    return undefined // a page for people, say
  }
}

function unlessMissing(answer: Answer, repository: Repository, client: HubClient) {
  if (answer.found) return answer
  const { refusal } = answer
  if (refusal.status === 404 && (!refusal.code || refusal.code === 'EntryNotFound')) return undefined
  throw explain(refusal, repository, client)
}

const explain = (refusal: Parameters<typeof explainRefusal>[0], repository: Repository, client: HubClient) =>
  explainRefusal(refusal, repository, {
    endpoint: client.settings.endpoint,
    hasToken: client.settings.token !== undefined,
  })

function retryOptions({ settings }: HubClient, { onNote, attempts }: AskOptions) {
  return { timing: { ...settings.timing, ...(attempts && { attempts }) }, onNote }
}

/** An ETag is a hash where it has a hash's length; others, such as a store's own, say nothing of the content. */
function readHash(etag: string | undefined): FileHash | undefined {
  const hex = etag?.replace(/^W\//, '').replaceAll('"', '').toLowerCase() ?? ''
  if (/^[0-9a-f]{64}$/.test(hex)) return { kind: 'sha256', hex }
  if (/^[0-9a-f]{40}$/.test(hex)) return { kind: 'sha1', hex }
  return undefined
}
