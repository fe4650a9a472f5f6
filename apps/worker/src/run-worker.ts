import type { Engine } from '@sdcpu/diffusion'
import { ANNOUNCE_INTERVAL_MS, announce } from './announce.ts'
import { maskSecrets, type WorkerConfig } from './config.ts'
import { buildHealth } from './health.ts'
import { type Processor, startProcessor } from './processor.ts'
import { connectRedis } from './redis.ts'

const WARM_UP = { prompt: 'warm-up', seed: 0, width: 64, height: 64, steps: 1 } // the smallest image there is

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
  let engine: Engine | undefined

  const redis = connectRedis(config.REDIS_URL)
  const health = buildHealth({ redis, waitingFor: () => waitingFor, logLevel: config.LOG_LEVEL })
  const { log } = health
  redis.on('error', ({ message }) => log.warn(`Redis connection: ${message}`))
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void shutDown(signal))

  log.info({ config: maskSecrets(config) }, 'starting')
  try {
    await health.listen({ port: config.WORKER_PORT, host: config.HOST })
    engine = await openEngine(report)
    report('drawing a warm-up image')
    void engine.died.then((err) => exit(1, { err }, 'the engine died'))
    await engine.generate([WARM_UP])
    report('announcing the model')
    await announce(redis, engine.model, served)
  } catch (err) {
    if (!stopping) exit(1, { err }, 'could not start')
    return
  }
  if (stopping) return
  setInterval(renew, ANNOUNCE_INTERVAL_MS, engine).unref()
  processor = startProcessor({ engine, redis, config, log })
  waitingFor = undefined
  log.info({ model: { ...engine.model, name: config.MODEL_NAME }, loadMs: engine.loadMs }, 'ready')

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
    await engine?.close()
    exit(0, {}, 'stopped')
  }

  function exit(code: 0 | 1, details: object, message: string): void {
    log[code === 0 ? 'info' : 'fatal'](details, message)
    process.exit(code)
  }
}
