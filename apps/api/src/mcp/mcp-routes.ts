import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import { CancelledNotificationSchema, isInitializeRequest } from '@modelcontextprotocol/sdk/types.js'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Redis } from 'ioredis'
import { ApiError } from '../api-error.ts'
import type { Caller } from '../caller.ts'
import type { Images } from '../images.ts'
import type { JobEvents } from '../job-events.ts'
import type { Models } from '../models.ts'
import type { OpenStreams } from '../open-streams.ts'
import type { ZodApp } from '../zod-app.ts'
import { createGenerateImage } from './generate-image.ts'
import { isAllowedOrigin } from './is-allowed-origin.ts'
import { createListModels } from './list-models.ts'
import { createMcpServer } from './mcp-server.ts'
import { createRunningCalls, nameCall } from './running-calls.ts'

/** Where MCP is spoken. */
export const MCP_PATH = '/mcp'

const SESSION = /^[\x21-\x7e]{1,200}$/ // as MCP defines it; ours are UUIDs
const READ_BY_TRANSPORT = ['accept', 'content-type', 'mcp-protocol-version']
const REFUSED = -32_000 // JSON-RPC leaves this range to servers

/**
 * Adds the server of the Model Context Protocol: streamable HTTP, one POST a message. A session is only a name under
 * which a client cancels its calls, and calls are known in Redis, so that replicas need not know their clients.
 */
export function addMcpRoutes(
  app: ZodApp,
  {
    redis,
    prefix,
    images,
    models,
    events,
    streams,
    callerOf,
  }: {
    redis: Redis
    prefix: string
    images: Images
    models: Models
    events: (model: string) => JobEvents
    streams: OpenStreams
    callerOf: (request: FastifyRequest) => Caller
  },
): void {
  const calls = createRunningCalls(redis, prefix)
  const tools = [createGenerateImage({ images, events, calls }), createListModels(models)]

  app.post(MCP_PATH, async (request, reply) => {
    const caller = callerOf(request)
    if (!isAllowedOrigin(request.headers.origin, { hasShownKey: caller.isStrict }))
      return refuse(reply, 403, `pages of ${request.headers.origin} may not ask here`)
    await cancelCalls(request, caller)
    if (isInitializeRequest(request.body)) reply.header('mcp-session-id', randomUUID())
    return streams.run(reply, (signal) => answer(request, reply, { caller, signal }))
  })

  // Streams that only the server speaks on, and an end of sessions, have no use here: MCP's answer to that is 405.
  app.route({
    method: ['GET', 'DELETE'],
    url: MCP_PATH,
    handler: (_, reply) => refuse(reply.header('allow', 'POST'), 405, 'MCP messages are POSTed here'),
  })

  async function answer(
    request: FastifyRequest,
    reply: FastifyReply,
    { caller, signal }: { caller: Caller; signal: AbortSignal },
  ): Promise<void> {
    const server = createMcpServer(tools, {
      ...{ caller, signal, requestId: request.id, log: request.log },
      bodyLimit: request.routeOptions.bodyLimit,
      nameCall: (id) => nameOf(request, caller, id),
    })
    const transport = new WebStandardStreamableHTTPServerTransport()
    await server.connect(transport)
    try {
      const asked = new Request(`http://localhost${MCP_PATH}`, {
        method: 'POST',
        headers: readHeaders(request),
      })
      await send(reply, await transport.handleRequest(asked, { parsedBody: request.body }))
    } finally {
      await server.close()
    }
  }

  async function cancelCalls(request: FastifyRequest, caller: Caller): Promise<void> {
    const messages = Array.isArray(request.body) ? request.body : [request.body]
    for (const message of messages) {
      const id = CancelledNotificationSchema.safeParse(message).data?.params.requestId
      const name = id === undefined ? undefined : nameOf(request, caller, id)
      const imagesId = name === undefined ? undefined : await calls.cancel(name)
      if (imagesId !== undefined) await cancelImages(imagesId, caller)
    }
  }

  async function cancelImages(id: string, caller: Caller): Promise<void> {
    try {
      await images.cancel(id, caller)
    } catch (error) {
      // Not asked for yet: whoever is about to looks whether it is canceled.
      if (!(error instanceof ApiError && error.code === 'image_not_found')) throw error
    }
  }
}

/** What a call is known by in Redis, where its client has a session to tell its calls from those of others by. */
function nameOf(
  { headers }: FastifyRequest,
  { owner }: Caller,
  requestId: string | number,
): string | undefined {
  const session = headers['mcp-session-id']
  return typeof session === 'string' && SESSION.test(session)
    ? nameCall({ session, owner, requestId })
    : undefined
}

function readHeaders({ headers }: FastifyRequest): [string, string][] {
  return READ_BY_TRANSPORT.flatMap((name) => {
    const value = headers[name]
    return typeof value === 'string' ? [[name, value]] : []
  })
}

/** Sends what the transport answers; a stream past Fastify, which would hold its headers back until the first event. */
async function send(reply: FastifyReply, response: Response): Promise<void> {
  const isStream = response.headers.get('content-type') === 'text/event-stream'
  if (!isStream || !response.body) return void (await reply.send(response))
  reply.hijack()
  const { raw } = reply
  raw.writeHead(response.status, {
    ...(reply.getHeaders() as Record<string, string>),
    ...Object.fromEntries(response.headers),
    connection: 'close', // or a server that shuts down would wait for the next question on it
  })
  raw.flushHeaders()
  await pipeline(Readable.fromWeb(response.body as ReadableStream), raw).catch(() => {}) // the caller hung up
}

function refuse(reply: FastifyReply, status: number, message: string): FastifyReply {
  return reply.code(status).send({ jsonrpc: '2.0', error: { code: REFUSED, message }, id: null })
}
