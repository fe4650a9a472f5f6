import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createChildren } from '../scripts/child-processes.ts'
import { freePort } from '../scripts/ports.ts'

const START = join(import.meta.dirname, '..', 'scripts', 'start.ts')
const READY = /^ready:?\s+(http:\S+)/i
const GRACE_MS = 50_000 // the worker may finish its picture first

export type Product = { baseUrl: string; stop: () => Promise<void> }

/**
 * Starts the whole product on ports and in a folder of its own, or takes the one that `E2E_BASE_URL` names; `env` is
 * added to the environment of the one that is started.
 * @throws Error with its last lines when it ends before it is ready.
 */
export async function startProduct(env: Record<string, string> = {}): Promise<Product> {
  const given = process.env.E2E_BASE_URL
  if (given) return { baseUrl: given, stop: async () => {} }

  const dataDir = await mkdtemp(join(tmpdir(), 'sdcpu-e2e-'))
  const children = createChildren()
  const stop = async () => {
    await children.stopAll()
    await rm(dataDir, { recursive: true, force: true })
  }
  const ready = Promise.withResolvers<string>()
  const product = children.start({
    name: 'start',
    program: process.execPath,
    args: [START],
    env: { ...process.env, ...(await ownPorts()), MODEL: 'demo', REDIS_URL: '', DATA_DIR: dataDir, ...env },
    onLine: (line) => {
      const baseUrl = READY.exec(line)?.[1]
      if (baseUrl) ready.resolve(baseUrl)
    },
    graceMs: GRACE_MS,
  })
  product.ended.then((end) =>
    ready.reject(new Error(`It ended (${end}):\n${product.lastLines().join('\n')}`)),
  )
  try {
    return { baseUrl: await ready.promise, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function ownPorts(): Promise<Record<string, string>> {
  const names = ['WEB_PORT', 'API_PORT', 'WORKER_PORT']
  const ports = await Promise.all(names.map(freePort))
  return Object.fromEntries(names.map((name, index) => [name, String(ports[index])]))
}
