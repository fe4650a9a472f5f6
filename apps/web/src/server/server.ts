import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import helmet from '@fastify/helmet'
import httpProxy from '@fastify/http-proxy'
import fastifyStatic from '@fastify/static'
import type { ErrorBody } from '@sdcpu/contract'
import { type FastifyInstance, type FastifyReply, fastify, LogController } from 'fastify'
import { createApiAgent } from './api-agent.ts'
import { API_PATHS } from './api-paths.ts'
import { addMetrics } from './metrics.ts'

export type ServerOptions = {
  /** Folder that `vite build` wrote. */
  pageDir: string
  apiUrl: string
  apiTimeoutMs: number
  /** Writes JSON lines to standard output; off in tests. */
  logger?: boolean
}

// An API that restarts is back within seconds.
const RETRY_AFTER_SECONDS = 2

const HELMET = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'"],
      imgSrc: ["'self'", 'data:', 'blob:'],
      fontSrc: ["'self'"],
      connectSrc: ["'self'"],
      manifestSrc: ["'self'"],
      baseUri: ["'none'"],
      formAction: ["'self'"],
      frameAncestors: ["'self'"],
    },
  },
  referrerPolicy: { policy: 'same-origin' as const },
  // Who ends TLS says that it is there: this server does not know whether anybody does.
  strictTransportSecurity: false,
  // Pictures may be shown on other sites; who reaches them is the API's matter.
  crossOriginResourcePolicy: false,
}

/**
 * Builds the server of the page: it serves the built files and passes what is the API's to the API.
 * @throws Error with the fix when the page has not been built.
 */
export async function buildServer(options: ServerOptions): Promise<FastifyInstance> {
  if (!existsSync(join(options.pageDir, 'index.html'))) {
    throw new Error(
      `The page is not built: ${options.pageDir} has no index.html. Run "pnpm --filter @sdcpu/web build".`,
    )
  }
  const app = fastify({
    logger: options.logger ?? false,
    // The API logs every call already; this hop would only repeat it, many times a second while a page polls.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    requestTimeout: 60_000,
    forceCloseConnections: true,
  })
  answerErrorsInOneShape(app)
  addMetrics(app)
  await app.register(helmet, HELMET)
  app.get('/healthz', () => ({ status: 'ok' }))
  // The page says itself when the API is away, so being ready does not depend on the API.
  app.get('/readyz', () => ({ status: 'ok' }))
  await servePage(app, options.pageDir)
  await passToApi(app, options)
  return app
}

function answerErrorsInOneShape(app: FastifyInstance): void {
  app.setNotFoundHandler((request, reply) => {
    return sendError(
      reply,
      404,
      'not_found',
      `There is nothing at ${request.method} ${request.url.split('?')[0]}`,
    )
  })
  app.setErrorHandler((error: { statusCode?: number; message: string }, request, reply) => {
    const status = error.statusCode ?? 500
    if (status < 500) return sendError(reply, status, 'invalid_request', error.message)
    request.log.error({ err: error }, 'request failed')
    return sendError(reply, 500, 'internal', 'Something went wrong on our side')
  })
}

async function servePage(app: FastifyInstance, pageDir: string): Promise<void> {
  await app.register(fastifyStatic, {
    root: pageDir,
    cacheControl: false,
    dotfiles: 'ignore',
    preCompressed: true,
    setHeaders(reply, path) {
      // Vite puts a hash of the content into the name of everything under assets/.
      const isHashed = path.startsWith(join(pageDir, 'assets'))
      reply.header('cache-control', isHashed ? 'public, max-age=31536000, immutable' : 'no-cache')
    },
  })
}

async function passToApi(app: FastifyInstance, { apiUrl, apiTimeoutMs }: ServerOptions): Promise<void> {
  const agent = createApiAgent(apiTimeoutMs)
  app.addHook('onClose', agent.close)
  await app.register(httpProxy, {
    upstream: apiUrl,
    routes: API_PATHS.flatMap((path) => [path, `${path}/*`]),
    disableRequestLogging: true,
    undici: agent.undici,
    preHandler: agent.preHandler,
    replyOptions: {
      // Left alone, the proxy repeats a GET that was answered 503 ten times; the page decides itself when to ask again.
      retryDelay: () => null,
      // This server has answered `Expect: 100-continue` itself, and its HTTP client refuses to pass it on.
      rewriteRequestHeaders: (request, { expect: _, ...headers }) => ({
        ...headers,
        'x-forwarded-for': [headers['x-forwarded-for'], request.socket.remoteAddress]
          .filter(Boolean)
          .join(', '),
        'x-forwarded-host': headers['x-forwarded-host'] ?? request.headers.host,
        'x-forwarded-proto': headers['x-forwarded-proto'] ?? request.protocol,
        'x-request-id': headers['x-request-id'] ?? request.id,
      }),
      // These two speak of the connection to the API, not of the one to the caller.
      rewriteHeaders: ({ connection, 'keep-alive': _, ...headers }) => headers,
      onError(reply) {
        reply.header('retry-after', String(RETRY_AFTER_SECONDS))
        sendError(reply as FastifyReply, 503, 'unavailable', 'The API cannot be reached right now')
      },
    },
  })
}

function sendError(
  reply: FastifyReply,
  status: number,
  code: ErrorBody['error']['code'],
  message: string,
): FastifyReply {
  const body: ErrorBody = { error: { code, message, requestId: reply.request.id } }
  return reply.code(status).send(body)
}
