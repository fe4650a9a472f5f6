import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { askAgain, callApi, fetchPicture } from './call-api.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

describe('callApi', () => {
  it('returns the JSON of a good answer', async () => {
    const url = await serve((_, response) => response.end('{"id":"a"}'))
    expect(await callApi(url)).toEqual({ id: 'a' })
  })

  it("throws the API's own error with its numbers", async () => {
    const body = { error: { code: 'queue_full', message: 'the queue holds 200', requestId: 'trace-7' } }
    const url = await serve((_, response) =>
      response.writeHead(429, { 'retry-after': '12' }).end(JSON.stringify(body)),
    )
    await expect(callApi(url)).rejects.toMatchObject({
      name: 'ApiError',
      code: 'queue_full',
      message: 'the queue holds 200',
      retryAfterSeconds: 12,
      requestId: 'trace-7',
    })
  })

  it.each([502, 503, 504])('takes the HTML of a gateway with %i for an API that is away', async (status) => {
    const url = await serve((_, response) => response.writeHead(status).end('<h1>Bad gateway</h1>'))
    await expect(callApi(url)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('takes a page in place of an answer for an API that is away', async () => {
    const url = await serve((_, response) => response.end('<h1>Please log in</h1>'))
    await expect(callApi(url)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('takes silence for an API that is away', async () => {
    const url = await serve((request) => request.socket.destroy())
    await expect(callApi(url)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('leaves an abort an abort', async () => {
    const url = await serve(() => {})
    const abort = new AbortController()
    const call = callApi(url, { signal: abort.signal })
    abort.abort()
    await expect(call).rejects.toMatchObject({ name: 'AbortError' })
  })
})

describe('askAgain', () => {
  it('takes the answer from before when the API says that nothing has changed', async () => {
    const seen: (string | undefined)[] = []
    const url = await serve((request, response) => {
      seen.push(request.headers['if-none-match'])
      if (request.headers['if-none-match'] === '"1"') response.writeHead(304).end()
      else response.writeHead(200, { etag: '"1"' }).end('{"step":2}')
    })
    const first = await askAgain(url)
    expect(await askAgain(url)).toBe(first)
    expect(seen).toEqual([undefined, '"1"'])
  })

  it('asks without conditions where answers carry no ETag', async () => {
    let asked = 0
    const url = await serve((request, response) => {
      asked += 1
      expect(request.headers['if-none-match']).toBeUndefined()
      response.end(`{"asked":${asked}}`)
    })
    await askAgain(url)
    expect(await askAgain(url)).toEqual({ asked: 2 })
  })
})

describe('fetchPicture', () => {
  it('returns the bytes with their type', async () => {
    const url = await serve((_, response) =>
      response.writeHead(200, { 'content-type': 'image/webp' }).end('picture'),
    )
    const picture = await fetchPicture(url)
    expect(picture.type).toBe('image/webp')
    expect(await picture.text()).toBe('picture')
  })

  it('says that a picture has expired', async () => {
    const body = { error: { code: 'expired', message: 'gone', requestId: 'a' } }
    const url = await serve((_, response) => response.writeHead(410).end(JSON.stringify(body)))
    await expect(fetchPicture(url)).rejects.toMatchObject({ code: 'expired' })
  })
})

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
