import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createChildren } from '../../scripts/child-processes.ts'
import { freePort } from '../../scripts/ports.ts'

const READY_MS = 300_000 // its first start imports torch and makes a database
// Nothing that reaches for the network or loads a model at start.
const ALONE = {
  OFFLINE_MODE: 'true',
  HF_HUB_OFFLINE: '1',
  ENABLE_OLLAMA_API: 'false',
  ENABLE_OPENAI_API: 'false',
  ENABLE_VERSION_UPDATE_CHECK: 'false',
  RAG_EMBEDDING_ENGINE: 'openai',
  ANONYMIZED_TELEMETRY: 'false',
  DO_NOT_TRACK: 'true',
  SCARF_NO_ANALYTICS: 'true',
}

/** A file as Open WebUI tells of it; `url` is a path of its own. */
export type OwnFile = { id: string; url: string; content_type: string }
// biome-ignore lint/suspicious/noExplicitAny: what is read of answers is checked.
type Answer = { status: number; body: any }

/** Somebody who has signed in: what the page does, over the same HTTP API. */
export type User = {
  get(path: string): Promise<Answer>
  post(path: string, body: object): Promise<Answer>
  /** The bytes behind a file's URL. */
  download(file: OwnFile): Promise<Buffer>
}

export type OpenWebUi = {
  version: string
  /** Who signed up first. */
  admin: User
  /** Signs in somebody without rights of an admin. */
  addUser(name: string): Promise<User>
  stop(): Promise<void>
}

/**
 * Starts Open WebUI in a folder and on a port of its own, without network, and signs up its first user.
 * Nothing of our environment reaches it but `PATH` and `env`: it reads names that we use too, such as REDIS_URL.
 * @throws Error with its last lines when it ends before it is ready, or is not after 300 s
 */
export async function startOpenWebUi(program: string, env: Record<string, string>): Promise<OpenWebUi> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sdcpu-open-webui-'))
  const port = await freePort()
  const base = `http://127.0.0.1:${port}`
  const children = createChildren()
  const child = children.start({
    ...{ name: 'open-webui', program, args: ['serve', '--host', '127.0.0.1', '--port', String(port)] },
    cwd: dataDir,
    env: {
      ...{ PATH: process.env.PATH, HOME: dataDir, DATA_DIR: dataDir, WEBUI_SECRET_KEY: 'of-this-test' },
      ...ALONE,
      ...env,
    },
  })
  const stop = async () => {
    await children.stopAll()
    await rm(dataDir, { recursive: true, force: true })
  }
  try {
    const deadline = Date.now() + READY_MS
    while (!(await fetch(`${base}/ready`).catch(() => undefined))?.ok) {
      if (child.hasEnded() || Date.now() > deadline)
        throw new Error(`Open WebUI is not ready:\n${child.lastLines().join('\n')}`)
      await sleep(500)
    }
    const admin = await signIn(base, '/api/v1/auths/signup', account('admin'))
    const { version } = (await admin.get('/api/version')).body
    return {
      ...{ version, admin, stop },
      async addUser(name) {
        await admin.post('/api/v1/auths/add', { ...account(name), role: 'user' })
        return signIn(base, '/api/v1/auths/signin', account(name))
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

function account(name: string) {
  return { name, email: `${name}@example.com`, password: `a-password-of-${name}` }
}

async function signIn(base: string, path: string, body: object): Promise<User> {
  const call = async (path: string, options: RequestInit & { headers?: Record<string, string> }) => {
    const answer = await fetch(`${base}${path}`, options)
    return { status: answer.status, body: await answer.json() }
  }
  const send = (path: string, body: object, headers: Record<string, string> = {}) =>
    call(path, {
      ...{ method: 'POST', body: JSON.stringify(body) },
      headers: { 'content-type': 'application/json', ...headers },
    })
  const answer = await send(path, body)
  if (answer.status !== 200)
    throw new Error(`Open WebUI answers ${path} with ${answer.status}: ${JSON.stringify(answer.body)}`)
  const { token } = answer.body as { token: string }
  const headers = { authorization: `Bearer ${token}` }
  return {
    get: (path) => call(path, { headers }),
    post: (path, body) => send(path, body, headers),
    async download({ url }) {
      const answer = await fetch(`${base}${url}`, { headers })
      if (!answer.ok) throw new Error(`Open WebUI answers ${url} with ${answer.status}`)
      return Buffer.from(await answer.arrayBuffer())
    },
  }
}
