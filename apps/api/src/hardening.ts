import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import type { ErrorBody, ErrorCode } from '@sdcpu/contract'

/** Headers of every answer: nothing the API sends is a page that may load, run or frame anything. */
export const HELMET = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
  },
  // Who ends TLS says that it is there.
  strictTransportSecurity: false,
  // Images may be shown on other sites: who has the link may see them.
  crossOriginResourcePolicy: { policy: 'cross-origin' as const },
}

const REFUSALS: Record<string, { status: string; code: ErrorCode; message: string }> = {
  HPE_HEADER_OVERFLOW: {
    status: '431 Request Header Fields Too Large',
    code: 'payload_too_large',
    message: 'the headers are larger than 16 KiB',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: '408 Request Timeout',
    code: 'invalid_request',
    message: 'the request was not whole in time',
  },
}
const UNREADABLE = {
  status: '400 Bad Request',
  code: 'invalid_request' as const,
  message: 'this is not HTTP',
}

/** Refuses what never became a request, in the one shape of errors. */
export function refuseUnread(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const { status, code, message } = REFUSALS[error.code ?? ''] ?? UNREADABLE
  const body: ErrorBody = { error: { code, message, requestId: randomUUID() } }
  const text = JSON.stringify(body)
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
  )
}
