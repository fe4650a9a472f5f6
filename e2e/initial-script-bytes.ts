import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'

/** Bytes of script, gzipped as a server sends it, that the page at `baseUrl` loads before it can be used. */
export async function initialScriptBytes(baseUrl: string): Promise<number> {
  const { body: page } = await request(new URL(baseUrl))
  const scripts = [
    ...page.toString().matchAll(/<(?:script|link rel="modulepreload")[^>]* (?:src|href)="([^"]+)"/g),
  ]
  const sizes = await Promise.all(scripts.map(([, address]) => request(new URL(address!, baseUrl), 'gzip')))
  return sizes.reduce((sum, { body }) => sum + body.length, 0)
}

// Not by `fetch`, which unpacks what it receives.
async function request(url: URL, encoding = 'identity'): Promise<{ body: Buffer }> {
  const [response] = (await once(get(url, { headers: { 'accept-encoding': encoding } }), 'response')) as [
    IncomingMessage,
  ]
  if (response.statusCode !== 200) throw new Error(`${url} answers ${response.statusCode}`)
  return { body: await buffer(response) }
}
