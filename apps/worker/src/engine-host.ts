import type { Engine, EngineStats } from '@sdcpu/diffusion'
import type { FastifyBaseLogger } from 'fastify'

export type EngineHost = Engine & {
  /**
   * Between two batches: replaces an engine that has grown beyond `maxRssBytes` with a new one of the same model.
   * @throws when that did not help, which only a new process does
   */
  recycleIfGrown(): Promise<void>
  /** Of the engine there is now; hits and misses also of those before it, so that they never fall. */
  stats(): EngineStats
}

/** Keeps an engine, and replaces it when it has grown: native memory that an engine leaks is its thread's. */
export async function hostEngine(
  open: () => Promise<Engine>,
  {
    maxRssBytes,
    log,
    onRecycle,
    rssBytes = () => process.memoryUsage.rss(),
  }: {
    maxRssBytes: number
    log: Pick<FastifyBaseLogger, 'warn'>
    onRecycle: () => void
    rssBytes?: () => number
  },
): Promise<EngineHost> {
  const death = Promise.withResolvers<Error>()
  let earlier: EngineStats | undefined
  let engine = await openWatched()

  async function openWatched(): Promise<Engine> {
    const opened = await open()
    void opened.died.then(death.resolve)
    return opened
  }

  function stats(): EngineStats {
    const { caches } = engine.stats()
    const since = (name: keyof EngineStats['caches']) => {
      const { hits = 0, misses = 0 } = earlier?.caches[name] ?? {}
      return { ...caches[name], hits: hits + caches[name].hits, misses: misses + caches[name].misses }
    }
    return { caches: { embeddings: since('embeddings'), promptKeys: since('promptKeys') } }
  }

  const { model, loadMs, threads } = engine
  return {
    model,
    loadMs,
    threads,
    died: death.promise,
    generate: (inputs, options) => engine.generate(inputs, options),
    stats,
    close: () => engine.close(),
    async recycleIfGrown() {
      const before = rssBytes()
      if (before <= maxRssBytes) return
      log.warn({ rssBytes: before, maxRssBytes }, 'the engine has grown too large and is replaced')
      onRecycle()
      const counted = stats()
      await engine.close()
      engine = await openWatched()
      earlier = counted
      const after = rssBytes()
      if (after > maxRssBytes)
        throw new Error(
          `the process uses ${after} bytes with a new engine, too; MAX_RSS_BYTES is ${maxRssBytes}`,
        )
    },
  }
}
