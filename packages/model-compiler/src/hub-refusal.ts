import type { IncomingHttpHeaders } from 'node:http'
import { HubError } from './hub-error.ts'
import type { Repository } from './hub-repository.ts'

/** A 4xx of the hub: what was refused and why, in its own words. */
export type Refusal = { status: number; code?: string; reason?: string }

const MAX_REASON = 300 // a sentence or two

/** Reads the hub's X-Error-Code and X-Error-Message. */
export function readRefusal(status: number, headers: IncomingHttpHeaders): Refusal {
  const text = (name: string) => headers[name]?.toString().slice(0, MAX_REASON)
  return { status, code: text('x-error-code'), reason: text('x-error-message') }
}

/** One sentence: the hub's reason, and what the reader can do about it. */
export function explainRefusal(
  { status, code, reason }: Refusal,
  repository: Repository,
  { endpoint, hasToken }: { endpoint: string; hasToken: boolean },
): HubError {
  const { id, revision } = repository
  const said = `${endpoint} says ${status}${reason ? ` (${reason.replace(/[.\s]+$/, '')})` : ''}`
  const page = `${endpoint}/${id}`
  if (code === 'GatedRepo')
    return new HubError(
      hasToken
        ? `${id} is gated: ${said}. Accept its licence at ${page} with the account that HF_TOKEN belongs to`
        : `${id} is gated: ${said}. Accept its licence at ${page} and set HF_TOKEN to a token of that account`,
    )
  if (code === 'DisabledRepo' || /disabled/i.test(reason ?? ''))
    return new HubError(`${id} is disabled on the hub: ${said}. See ${page}, or use another repository`)
  if (code === 'RevisionNotFound')
    return new HubError(
      `${id} has no revision "${revision ?? 'main'}": ${said}. See ${page} for its branches and tags`,
    )
  if (status === 404 || code === 'RepoNotFound' || (status === 401 && !hasToken))
    return new HubError(
      `there is no folder ${id}, and no public repository of that name: ${said}. Check the name${hasToken ? ', or whether HF_TOKEN may read it' : '; a private one needs HF_TOKEN'}`,
    )
  if (status === 401) return new HubError(`HF_TOKEN is not accepted: ${said}. Set a token that is valid`)
  return new HubError(`${id} cannot be downloaded: ${said}. See ${page}`)
}
