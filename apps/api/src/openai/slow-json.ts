import type { FastifyReply } from 'fastify'

/**
 * Answers with JSON that takes its time. Gateways give up on what is silent for a minute, so after `heartbeatMs` the
 * headers are sent, and a space again and again, which JSON may begin with. The status is 200 from then on, whatever comes.
 * @param toErrorBody what is sent then where `work` fails
 * @throws what `work` does, where nothing was sent yet
 */
export async function sendSlowJson(
  reply: FastifyReply,
  work: Promise<object>,
  { heartbeatMs, toErrorBody }: { heartbeatMs: number; toErrorBody: (error: unknown) => object },
): Promise<void> {
  const { raw } = reply
  const heartbeat = setInterval(() => {
    if (!raw.headersSent) begin()
    raw.write(' ')
  }, heartbeatMs)

  function begin(): void {
    reply.hijack()
    raw.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'application/json; charset=utf-8',
      connection: 'close', // a client must not send its next question behind an answer that may be cut off
      'x-accel-buffering': 'no', // nginx would hold the spaces back to fill its buffer
    })
  }

  let answer: object
  try {
    answer = await work
  } catch (error) {
    if (!raw.headersSent) throw error
    answer = toErrorBody(error)
  } finally {
    clearInterval(heartbeat)
  }
  if (raw.headersSent) raw.end(JSON.stringify(answer))
  else void reply.send(answer)
}
