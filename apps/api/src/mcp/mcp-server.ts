import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import {
  CallToolRequestSchema,
  ErrorCode,
  ListToolsRequestSchema,
  McpError,
  type ServerNotification,
} from '@modelcontextprotocol/sdk/types.js'
import { type ApiError, publicMessage, statusOf, toApiError } from '../api-error.ts'
import { type CallContext, type McpTool, toolError } from './tool.ts'

const INFO = { name: 'stable-diffusion-cpu', title: 'Stable Diffusion on CPU nodes', version: '1' }
const INSTRUCTIONS =
  'Draws images from text with generate_image. Describe what is to be seen, in English; list_models tells what models there are.'

/** What a call is given by the HTTP request that it came with. */
export type ServerContext = Pick<CallContext, 'caller' | 'requestId' | 'log' | 'signal'> & {
  nameCall: (id: string | number) => string | undefined
  bodyLimit: number
}

/**
 * Makes a server of one HTTP request: nothing is kept between two, so that any replica may answer the next. It answers
 * with its own handlers rather than the SDK's for registered tools, so that a fault is told in the words of this API.
 */
export function createMcpServer(
  tools: McpTool[],
  { nameCall, bodyLimit, ...context }: ServerContext,
): McpServer['server'] {
  const { server } = new McpServer(INFO, { instructions: INSTRUCTIONS })
  server.registerCapabilities({ tools: {} })
  server.onerror = (err) => context.log.debug({ err }, 'MCP')
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: tools.map(({ definition }) => definition),
  }))
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
    const tool = tools.find(({ definition }) => definition.name === params.name)
    if (!tool) throw new McpError(ErrorCode.InvalidParams, `there is no tool "${params.name.slice(0, 40)}"`)
    try {
      return await tool.call(params.arguments ?? {}, {
        ...context,
        callName: nameCall(extra.requestId),
        signal: AbortSignal.any([context.signal, extra.signal]),
        onProgress: toProgressSender(extra),
        dropAnswer: () => server.close(),
      })
    } catch (thrown) {
      const error = toApiError(thrown, { bodyLimit })
      const line = { tool: params.name, code: error.code }
      if (statusOf(error.code) >= 500) context.log.error({ ...line, err: error }, 'a tool failed')
      else context.log.info(line, 'a tool was refused')
      return toolError(describeFault(error))
    }
  })
  return server
}

function describeFault(error: ApiError): string {
  const { retryAfterSeconds } = error
  const message = publicMessage(error)
  if (retryAfterSeconds === undefined) return message
  const sentence = message.replace(/\.?( Try again shortly\.)?$/, '.')
  return `${sentence} Try again in ${retryAfterSeconds} s.`
}

function toProgressSender({
  _meta,
  sendNotification,
}: {
  _meta?: { progressToken?: string | number | undefined } | undefined
  sendNotification: (notification: ServerNotification) => Promise<void>
}): CallContext['onProgress'] {
  const progressToken = _meta?.progressToken
  if (progressToken === undefined) return undefined
  return (progress) => {
    const params = { progressToken, ...progress }
    sendNotification({ method: 'notifications/progress', params }).catch(() => {}) // the caller is gone
  }
}
