import { join } from 'node:path'

/** A repository of the hub, by name. */
export type Repository = {
  owner: string
  name: string
  /** `owner/name` */
  id: string
  /** Branch, tag, other reference or commit; absent means the main branch. */
  revision?: string
}

const MAX_NAME = 96 // what the hub allows
const REPOSITORY = /^(\w[\w.-]*)\/(\w[\w.-]*)(?:@(\w[\w./+-]*))?$/
const COMMIT = /^[0-9a-f]{40}$/

/** Reads `owner/name[@revision]`; nothing for a text of another form. */
export function parseRepository(text: string): Repository | undefined {
  const [, owner, name, revision] = REPOSITORY.exec(text) ?? []
  if (!owner || !name || `${owner}/${name}`.length > MAX_NAME) return undefined
  // The hub has no such names; on disk they could lead elsewhere or collide.
  if ([owner, name].some((part) => /--|\.\.|[.-]$/.test(part)) || revision?.includes('..')) return undefined
  return { owner, name, id: `${owner}/${name}`, revision }
}

/** True for a full commit, whose files never change. */
export const isCommit = (revision: string | undefined): revision is string => COMMIT.test(revision ?? '')

/** Folder of a repository's downloads; each commit has one of its own in it. */
export function repositoryFolder(dataDir: string, { owner, name }: Repository): string {
  return join(dataDir, 'sources', `${owner}--${name}`)
}
