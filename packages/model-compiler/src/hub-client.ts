import http, { type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import https from 'node:https'
import { text } from 'node:stream/consumers'
import { HubError, TransientError } from './hub-error.ts'
import type { HubSettings } from './hub-options.ts'
import { type Refusal, readRefusal } from './hub-refusal.ts'
import { readRetryAfter } from './hub-retry.ts'

/** What the hub says of a file on the way to it; what lies behind a redirect knows less. */
export type FileFacts = { commit?: string; etag?: string; bytes?: number }

export type Answer =
  | { found: true; response: IncomingMessage; facts: FileFacts }
  | { found: false; refusal: Refusal }

/** One try each, no retries. A fault that may pass is a `TransientError`, a 4xx is an answer. */
export type HubClient = {
  settings: HubSettings
  /** Stops at a redirect to elsewhere when the hub has told size and hash: links made for GET may refuse HEAD. */
  head(path: string): Promise<Answer>
  /** The body must be read or destroyed; it is destroyed by itself when no byte comes for `stallMs`. */
  get(path: string, headers?: OutgoingHttpHeaders): Promise<Answer>
  getText(path: string): Promise<{ text: string } | { refusal: Refusal }>
  close(): void
}

const MAX_REDIRECTS = 8
const REDIRECTS = [301, 302, 303, 307, 308]
const PASSING = [408, 425, 429, 500, 502, 503, 504]

/** Makes a client of one endpoint that follows redirects itself, so that the token stays with the endpoint. */
export function createHubClient(settings: HubSettings): HubClient {
  const base = new URL(settings.endpoint)
  const agents = createAgents(settings)

  async function ask(method: 'GET' | 'HEAD', path: string, headers: OutgoingHttpHeaders): Promise<Answer> {
    const facts: FileFacts = {}
    let url = new URL(`${settings.endpoint}/${path}`)
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const response = await send(method, url, headers)
      const status = response.statusCode ?? 0
      const isAtHome = url.origin === base.origin
      collectFacts(facts, response, isAtHome)
      if (method === 'HEAD' || status >= 300) response.resume()
      if (status < 300) return { found: true, response, facts }
      if (!REDIRECTS.includes(status)) return { found: false, refusal: judge(response, url, isAtHome) }
      const next = redirectTarget(response, url)
      const isKnown = facts.etag !== undefined && facts.bytes !== undefined
      if (method === 'HEAD' && next.origin !== base.origin && isKnown) return { found: true, response, facts }
      url = next
    }
    throw new HubError(
      `${settings.endpoint}/${path} redirects more than ${MAX_REDIRECTS} times; check HF_ENDPOINT`,
    )
  }

  function send(method: string, url: URL, headers: OutgoingHttpHeaders): Promise<IncomingMessage> {
    const isSecure = url.protocol === 'https:'
    const authorization =
      settings.token && url.origin === base.origin ? `Bearer ${settings.token}` : undefined
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const request = (isSecure ? https : http).request(url, {
      method,
      agent: isSecure ? agents.https : agents.http,
      headers: {
        'user-agent': 'stable-diffusion-cpu',
        'accept-encoding': 'identity',
        ...headers,
        ...(authorization && { authorization }),
      },
    })
    const { stallMs } = settings.timing
    // Our own timer: a socket's timeout does not see name look-up, connecting or a proxy's silence.
    let received: IncomingMessage | undefined
    const stall = setTimeout(
      () => (received ?? request).destroy(new Error(`no byte for ${stallMs / 1000} s`)),
      stallMs,
    )
    request.on('close', () => clearTimeout(stall))
    request.on('error', (error) => reject(toFault(error, url)))
    request.on('response', (response) => {
      received = response
      stall.refresh()
      response.on('data', () => stall.refresh())
      response.pause() // until somebody reads; 'data' above would let it flow
      resolve(response)
    })
    request.end()
    return promise
  }

  return {
    settings,
    head: (path) => ask('HEAD', path, {}),
    get: (path, headers = {}) => ask('GET', path, headers),
    async getText(path) {
      const answer = await ask('GET', path, {})
      if (!answer.found) return { refusal: answer.refusal }
      return {
        text: await text(answer.response).catch((error) => {
          throw toFault(error, base)
        }),
      }
    },
    close() {
      agents.http.destroy()
      agents.https.destroy()
    },
  }
}

function createAgents({ proxy }: HubSettings): { http: http.Agent; https: https.Agent } {
  const options = { keepAlive: true, proxyEnv: proxy }
  try {
    return { http: new http.Agent(options), https: new https.Agent(options) }
  } catch (cause) {
    // Not the value: it may hold a password.
    throw new HubError('HTTP_PROXY or HTTPS_PROXY is no address; one looks like http://proxy.example:3128', {
      cause,
    })
  }
}

/**
 * The first to speak of a file is the hub; only what it left open is taken from further on. An ETag is a hash where a
 * hub gives it, ours or one that a mirror passes us on to, which is known by the commit it names.
 */
function collectFacts(facts: FileFacts, { headers, statusCode }: IncomingMessage, isAtHome: boolean): void {
  const isFile = statusCode === 200
  const isHub = isAtHome || headers['x-repo-commit'] !== undefined
  facts.commit ??= headers['x-repo-commit']?.toString()
  facts.etag ??= headers['x-linked-etag']?.toString() ?? (isFile && isHub ? headers.etag : undefined)
  const bytes = headers['x-linked-size'] ?? (isFile ? headers['content-length'] : undefined)
  if (/^\d+$/.test(bytes?.toString() ?? '')) facts.bytes ??= Number(bytes)
}

function judge(response: IncomingMessage, url: URL, isAtHome: boolean): Refusal {
  const status = response.statusCode ?? 0
  // Elsewhere than at the hub a refusal means a link that has run out; the hub makes a new one.
  const isExpired = !isAtHome && status !== 416 && !response.headers['x-error-code']
  if (!PASSING.includes(status) && !isExpired) return readRefusal(status, response.headers)
  throw new TransientError(`${url.host} answers ${status}`, {
    retryAfterMs: readRetryAfter(response.headers['retry-after']),
  })
}

function redirectTarget({ headers }: IncomingMessage, from: URL): URL {
  const next = URL.parse(headers.location ?? '', from.href)
  if (!next || !/^https?:$/.test(next.protocol))
    throw new HubError(`${from.host} redirects to "${headers.location ?? ''}", which is no HTTP address`)
  if (from.protocol === 'https:' && next.protocol === 'http:')
    throw new HubError(`${from.host} redirects to ${next.origin} without TLS; check HF_ENDPOINT`)
  return next
}

/** A certificate does not get better by asking again; everything else on the way may. */
function toFault(error: NodeJS.ErrnoException, url: URL): Error {
  const what = error.message || error.code || 'the connection failed'
  if (/CERT|ERR_TLS|UNABLE_TO_/.test(error.code ?? ''))
    return new HubError(
      `${url.host} cannot be trusted: ${what}. Name your own authority's file in NODE_EXTRA_CA_CERTS`,
      { cause: error },
    )
  return new TransientError(what, { cause: error })
}
