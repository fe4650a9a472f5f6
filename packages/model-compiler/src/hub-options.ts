import { readFile } from 'node:fs/promises'
import { HubError } from './hub-error.ts'

export type HubOptions = {
  /** Base URL of the hub or of a mirror. */
  endpoint?: string
  /** Sent to the endpoint's own origin, never to where it redirects. */
  token?: string
  /** `HTTPS_PROXY` and the like, by name. */
  proxy?: Record<string, string | undefined>
  timing?: Partial<HubTiming>
}

export type HubTiming = {
  /** No byte for this long counts as a cut. */
  stallMs: number
  /** Tries in a row that bring nothing new. */
  attempts: number
  /** Longest pause after the first failed try; twice as long after each further one. */
  backoffMs: number
  maxBackoffMs: number
  /** Longest Retry-After that is waited for. */
  maxRetryAfterMs: number
  /** Time between two lines of progress. */
  progressMs: number
  /** Sign of life of the process that holds a repository's lock. */
  heartbeatMs: number
  /** A lock without a sign of life for this long is taken over. */
  staleMs: number
}

const DEFAULT_ENDPOINT = 'https://huggingface.co'
const DEFAULT_TIMING: HubTiming = {
  stallMs: 30_000,
  attempts: 6,
  backoffMs: 1000,
  maxBackoffMs: 60_000,
  maxRetryAfterMs: 600_000, // the hub counts requests in windows of five minutes
  progressMs: 5000,
  heartbeatMs: 3000,
  staleMs: 20_000, // six signs of life missed
}

export type HubSettings = Required<Omit<HubOptions, 'token' | 'timing'>> & {
  token?: string
  timing: HubTiming
}

/** Fills in the defaults. @throws HubError when the endpoint is no HTTP URL */
export function settleHubOptions({ endpoint, token, proxy, timing }: HubOptions = {}): HubSettings {
  const base = (endpoint || DEFAULT_ENDPOINT).replace(/\/+$/, '')
  const url = URL.parse(base)
  if (url?.username || url?.password)
    throw new HubError(
      'HF_ENDPOINT holds a user or password; it must be a plain URL, with HF_TOKEN beside it',
    )
  if (!/^https?:$/.test(url?.protocol ?? ''))
    throw new HubError(`HF_ENDPOINT is "${base}"; it must be a URL such as ${DEFAULT_ENDPOINT}`)
  return { endpoint: base, token, proxy: proxy ?? {}, timing: { ...DEFAULT_TIMING, ...timing } }
}

/** The environment's names, as the hub's own tools have them. */
export type HubEnvironment = {
  HF_ENDPOINT?: string
  HF_TOKEN?: string
  HF_TOKEN_PATH?: string
  HTTP_PROXY?: string
  HTTPS_PROXY?: string
  NO_PROXY?: string
  http_proxy?: string
  https_proxy?: string
  no_proxy?: string
}

/**
 * Makes options from an environment; where there is no HF_TOKEN, the file named by HF_TOKEN_PATH holds it.
 * @throws HubError when that file cannot be read or is empty
 */
export async function readHubOptions(env: HubEnvironment): Promise<HubOptions> {
  const proxy = {
    HTTP_PROXY: env.http_proxy || env.HTTP_PROXY,
    HTTPS_PROXY: env.https_proxy || env.HTTPS_PROXY,
    NO_PROXY: env.no_proxy || env.NO_PROXY,
  }
  return { endpoint: env.HF_ENDPOINT, token: await readToken(env), proxy }
}

async function readToken({ HF_TOKEN, HF_TOKEN_PATH }: HubEnvironment): Promise<string | undefined> {
  let token = HF_TOKEN?.trim()
  if (!token && HF_TOKEN_PATH) {
    const text = await readFile(HF_TOKEN_PATH, 'utf8').catch((cause: Error) => {
      throw new HubError(`HF_TOKEN_PATH cannot be read: ${cause.message}`, { cause })
    })
    token = text.trim()
    if (!token) throw new HubError(`HF_TOKEN_PATH is ${HF_TOKEN_PATH}, which is empty; it must hold a token`)
  }
  // Never the token itself: this is printed.
  if (token && !/^[\x21-\x7e]+$/.test(token))
    throw new HubError(`the hub's token has spaces or other signs in it; it must be one word like hf_...`)
  return token || undefined
}
