import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type RedisServer, startRedisServer } from '@sdcpu/redis/testing'
import { type Child, createChildren } from './child-processes.ts'
import { freePort } from './ports.ts'
import { findRedis } from './redis.ts'

const APPS = join(import.meta.dirname, '..', 'apps')
const READY_MS = 180_000 // on a machine with much else to do

export type Service = {
  api: string
  redis: RedisServer
  workers: Child[]
  startWorker(): Promise<Child>
  stop(): Promise<void>
}

/** Starts Redis with an append-only file, the API and workers with the demo model, all on ports of their own. */
export async function startService({
  workers: count,
  env = {},
}: {
  workers: number
  env?: Record<string, string>
}): Promise<Service> {
  process.env.TEST_REDIS_SERVER ??= await findRedis(console.error)
  const dataDir = await mkdtemp(join(tmpdir(), 'sdcpu-service-'))
  const redis = await startRedisServer({ appendOnly: true })
  const children = createChildren()
  const port = await freePort()
  const environment = {
    ...process.env,
    MODEL: 'demo',
    DATA_DIR: dataDir,
    ...redis.env,
    ...env,
    API_PORT: String(port),
  }
  const start = (app: string, own: NodeJS.ProcessEnv) =>
    children.start({
      ...{ name: app, program: process.execPath, args: [join(APPS, app, 'src/main.ts')] },
      ...{
        env: { ...environment, ...own },
        graceMs: 20_000,
        logFile: join(dataDir, `${app}-${Date.now()}.log`),
      },
    })

  const service: Service = {
    api: `http://127.0.0.1:${port}`,
    redis,
    workers: [],
    async startWorker() {
      const workerPort = await freePort()
      const worker = start('worker', { WORKER_PORT: String(workerPort), HOST: '127.0.0.1' })
      await waitUntilReady(worker, workerPort)
      service.workers.push(worker)
      return worker
    },
    async stop() {
      await children.stopAll()
      await redis.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
  try {
    await waitUntilReady(start('api', { HOST: '127.0.0.1' }), port)
    for (let i = 0; i < count; i++) await service.startWorker()
  } catch (error) {
    await service.stop()
    throw error
  }
  return service
}

async function waitUntilReady(child: Child, port: number): Promise<void> {
  const deadline = Date.now() + READY_MS
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
    if (answer?.ok) return
    if (child.hasEnded() || Date.now() > deadline)
      throw new Error(`${child.name} is not ready:\n${child.lastLines().join('\n')}`)
    await sleep(200)
  }
}
