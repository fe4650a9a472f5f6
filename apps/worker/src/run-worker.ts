import type { Engine } from '@sdcpu/diffusion'
import { connectRedis } from '@sdcpu/redis'
import { ANNOUNCE_INTERVAL_MS, announce } from './announce.ts'
import { maskSecrets, type WorkerConfig } from './config.ts'
import { type EngineHost, hostEngine } from './engine-host.ts'
import { buildHealth } from './health.ts'
import { createMemoryTable, type MemoryTable, readMemoryLimit } from './memory.ts'
import { addMetrics } from './metrics.ts'
import { type Processor, startProcessor } from './processor.ts'
import { type SignOfLife, startSignOfLife } from './sign-of-life.ts'

const RECYCLE_SHARE = 0.85 // of the memory there is

/**
 * Runs a worker from start to the end of its process: answers probes at once, opens the engine, draws a
 * warm-up image, announces the model and takes jobs until SIGTERM or SIGINT.
 * The process exits with 1 when the engine cannot be opened or dies, and BullMQ returns its jobs.
 */
export async function runWorker(
  config: WorkerConfig,
  openEngine: (report: (message: string) => void) => Promise<Engine>,
): Promise<void> {
  const served = { name: config.MODEL_NAME, prefix: config.REDIS_PREFIX }
  let waitingFor: string | undefined = 'starting'
  let stopping = false
  let processor: Processor | undefined
  let engine: EngineHost | undefined
  let memory: MemoryTable | undefined
  let signOfLife: SignOfLife | undefined

  const redis = connectRedis(config, { patience: 'endless' })
  const health = buildHealth({ redis, waitingFor: () => waitingFor, logLevel: config.LOG_LEVEL })
  const { log } = health
  const metrics = addMetrics(health, () => engine?.stats())
  redis.on('error', ({ message }) => log.warn(`Redis connection: ${message}`))
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void shutDown(signal))

  log.info({ config: maskSecrets(config) }, 'starting')
  try {
    await health.listen({ port: config.WORKER_PORT, host: config.HOST })
    const limitBytes = config.MEMORY_LIMIT_BYTES ?? readMemoryLimit()
    engine = await hostEngine(() => openEngine(report), {
      maxRssBytes: config.MAX_RSS_BYTES ?? limitBytes * RECYCLE_SHARE,
      log,
      onRecycle: () => metrics.engineRestarts.inc({ reason: 'memory' }),
    })
    report('drawing a warm-up image')
    void engine.died.then((err) => exit(1, { err }, 'the engine died'))
    memory = await warmUp(engine, limitBytes)
    report('announcing the model')
    await announce(redis, engine.model, served)
  } catch (err) {
    if (!stopping) exit(1, { err }, 'could not start')
    return
  }
  if (stopping) return
  setInterval(renew, ANNOUNCE_INTERVAL_MS, engine).unref()
  signOfLife = await startSignOfLife({ engine, memory, redis, config, log })
  processor = startProcessor({
    engine,
    memory,
    redis,
    config,
    log,
    workerId: signOfLife.id,
    metrics,
    onDrawn: signOfLife.countDrawn,
  })
  waitingFor = undefined
  const model = { ...engine.model, name: config.MODEL_NAME }
  const { threads, loadMs } = engine
  log.info({ model, threads, loadMs, rssBytes: process.memoryUsage.rss() }, 'ready')

  function report(message: string): void {
    if (!stopping) waitingFor = message
    log.info(message)
  }

  function renew(engine: Engine): void {
    // It holds for longer than until the next try. While Redis is away tries would only pile up.
    if (redis.status !== 'ready') return
    announce(redis, engine.model, served).catch((err) =>
      log.warn({ err }, 'could not renew the announcement'),
    )
  }

  async function shutDown(signal: string): Promise<void> {
    stopping = true
    waitingFor = 'shutting down'
    log.info({ signal }, 'shutting down')
    const graceMs = config.SHUTDOWN_GRACE_SECONDS * 1000
    setTimeout(
      exit,
      graceMs,
      1,
      { graceMs },
      'the batch outlasted the grace; its jobs return by stalling',
    ).unref()
    await processor?.drain()
    await signOfLife?.stop()
    await engine?.close()
    exit(0, {}, 'stopped')
  }

  function exit(code: 0 | 1, details: object, message: string): void {
    log[code === 0 ? 'info' : 'fatal'](details, message)
    process.exit(code)
  }
}

/** Draws an image of the model's own size: it pays what the first one costs, and tells how much memory a pixel takes. */
async function warmUp({ model, generate }: Engine, limitBytes: number): Promise<MemoryTable> {
  const memory = createMemoryTable({ limitBytes })
  const side = model.nativeSize
  const image = { prompt: 'warm-up', seed: 0, width: side, height: side, steps: 1 }
  await memory.measure({ pixels: side * side, images: 1 }, () => generate([image]))
  return memory
}
