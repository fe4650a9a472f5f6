import { AsyncLocalStorage } from 'node:async_hooks'
import type { ServerResponse } from 'node:http'
import { Agent, type Dispatcher } from 'undici'

export type Upstream = {
  /** What makes the calls. */
  dispatcher: Dispatcher
  /** Runs what makes a call, which ends when its caller hangs up. */
  runFor(response: ServerResponse, run: () => void): void
}

/**
 * Connections to the API. The proxy lets go of an answer when its caller hangs up, but not of one that has not begun, and
 * those are the long ones: the API would draw pictures for nobody.
 */
export function createUpstream({
  connectTimeoutMs,
  headersTimeoutMs,
}: {
  connectTimeoutMs: number
  headersTimeoutMs: number
}): Upstream {
  const asking = new AsyncLocalStorage<ServerResponse>()
  // bodyTimeout 0: a stream of events may be silent for as long as a picture waits in the queue.
  const agent = new Agent({
    connect: { timeout: connectTimeoutMs },
    headersTimeout: headersTimeoutMs,
    bodyTimeout: 0,
  })
  return {
    dispatcher: agent.compose((dispatch) => (options, handler) => {
      const response = asking.getStore()
      return dispatch(options, response ? endWith(response, handler) : handler)
    }),
    runFor: (response, run) => asking.run(response, run),
  }
}

/** Ends a call when a caller hangs up before there is an answer. */
function endWith(response: ServerResponse, handler: Dispatcher.DispatchHandler): Dispatcher.DispatchHandler {
  let hangUp = () => {}
  const forget = () => response.off('close', hangUp)
  return {
    onRequestStart(controller, context) {
      hangUp = () => controller.abort(new Error('the caller hung up'))
      response.once('close', hangUp)
      handler.onRequestStart?.(controller, context)
      if (response.destroyed) hangUp()
    },
    onRequestUpgrade: (...told) => handler.onRequestUpgrade?.(...told),
    onResponseStart(...told) {
      forget()
      handler.onResponseStart?.(...told)
    },
    onResponseData: (...told) => handler.onResponseData?.(...told),
    onResponseEnd: (...told) => handler.onResponseEnd?.(...told),
    onResponseError(...told) {
      forget()
      handler.onResponseError?.(...told)
    },
  }
}
