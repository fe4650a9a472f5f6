import { createHash } from 'node:crypto'

/** Who asks. */
export type Caller = {
  /** What its requests are listed under; absent when it gave nothing to know it by. */
  owner: string | undefined
  /** True when only an owner may see a request; otherwise knowing its id is the right to it. */
  isStrict: boolean
}

/**
 * The owner of what a browser without an account asks for. The token itself is a secret of that browser, and is not kept.
 */
export function ownerOfToken(token: string): string {
  return `browser-${createHash('sha256').update(token).digest('hex')}`
}

/** Whether a caller may see, cancel and delete what an owner asked for. */
export function mayAccess({ owner, isStrict }: Caller, of: string | undefined): boolean {
  return !isStrict || (owner !== undefined && owner === of)
}
