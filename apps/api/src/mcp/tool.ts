import type { CallToolResult, Tool } from '@modelcontextprotocol/sdk/types.js'
import type { FastifyBaseLogger } from 'fastify'
import { z } from 'zod'
import type { Caller } from '../caller.ts'
import type { Progress } from './track-progress.ts'

/** Something that a model may call. */
export type McpTool = {
  definition: Tool
  /** @throws ApiError, whose message the model is told */
  call(args: Record<string, unknown>, context: CallContext): Promise<CallToolResult>
}

/** One call of a tool. */
export type CallContext = {
  caller: Caller
  /** Its name among the calls of its client; absent where the client has no session. */
  callName: string | undefined
  /** Of the HTTP request, for logs. */
  requestId: string
  log: FastifyBaseLogger
  /** Aborted when no answer is waited for any more, or the service stops. */
  signal: AbortSignal
  /** Tells the client how far the call is; absent where it did not ask. */
  onProgress: ((progress: Progress) => void) | undefined
  /** Ends the call without an answer, as is due to one that its client has canceled. */
  dropAnswer: () => Promise<void>
}

/** What a model is told when a call failed. */
export function toolError(text: string): CallToolResult {
  return { isError: true, content: [{ type: 'text', text }] }
}

/** The JSON Schema of an object, of the version that all hosts know. */
export function toToolSchema(schema: z.ZodObject, io: 'input' | 'output'): Tool['inputSchema'] {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, target: 'draft-7' })
  return rest as Tool['inputSchema']
}
