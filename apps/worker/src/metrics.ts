import type { EngineStats, StageTimings } from '@sdcpu/diffusion'
import type { FastifyInstance } from 'fastify'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

const SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640]

export type Metrics = {
  /** Takes a drawn batch into account; `waitMs` is each image's time from its request to its batch. */
  recordBatch(batch: {
    ms: number
    timings: StageTimings
    steps: number
    batchMaxSize: number
    waitMs: number[]
    canceled: number
  }): void
  images: Counter<'outcome'>
  engineRestarts: Counter<'reason'>
}

/** Counts what the worker does and adds `/metrics`; `engineStats` has nothing until there is an engine. */
export function addMetrics(app: FastifyInstance, engineStats: () => EngineStats | undefined): Metrics {
  const registry = new Registry()
  const own = { registers: [registry] }
  collectDefaultMetrics({ register: registry })
  app.get('/metrics', async (_, reply) => reply.type(registry.contentType).send(await registry.metrics()))

  const wait = new Histogram({
    ...own,
    name: 'sd_image_wait_seconds',
    help: 'Time from the request for an image to the batch it is drawn in',
    buckets: SECONDS,
  })
  const draw = new Histogram({
    ...own,
    name: 'sd_batch_draw_seconds',
    help: 'Time to draw a batch',
    buckets: SECONDS,
  })
  const stage = new Histogram({
    ...own,
    name: 'sd_stage_seconds',
    help: 'Time of one stage of a batch; of denoising, one step',
    labelNames: ['stage'],
    buckets: [0.01, 0.05, ...SECONDS],
  })
  const fill = new Histogram({
    ...own,
    name: 'sd_batch_fill_ratio',
    help: 'Images of a batch as a share of BATCH_MAX_SIZE',
    buckets: [0.25, 0.5, 0.75, 1],
  })
  const steps = new Counter({
    ...own,
    name: 'sd_steps_total',
    help: 'Denoising steps, counted once an image',
  })
  const wasted = new Counter({
    ...own,
    name: 'sd_wasted_cpu_seconds_total',
    help: 'CPU time that went into images nobody got, canceled or failed, by their share of the batch',
  })
  let cpu = process.cpuUsage()
  addCacheMetrics(registry, engineStats)

  return {
    recordBatch({ ms, timings, steps: asked, batchMaxSize, waitMs, canceled }) {
      for (const one of waitMs) wait.observe(Math.max(0, one) / 1000)
      draw.observe(ms / 1000)
      stage.observe({ stage: 'encode_prompts' }, timings.encodePrompts / 1000)
      for (const stepMs of timings.steps) stage.observe({ stage: 'denoise_step' }, stepMs / 1000)
      if (timings.previews !== undefined) stage.observe({ stage: 'decode_previews' }, timings.previews / 1000)
      stage.observe({ stage: 'decode' }, timings.decode / 1000)
      stage.observe({ stage: 'encode_png' }, timings.encodePng / 1000)
      fill.observe(waitMs.length / batchMaxSize)
      steps.inc(Math.min(asked, timings.steps.length) * waitMs.length)
      const spent = process.cpuUsage(cpu)
      cpu = process.cpuUsage()
      wasted.inc(((spent.user + spent.system) / 1e6) * (canceled / waitMs.length))
    },
    images: new Counter({
      ...own,
      name: 'sd_images_total',
      help: 'Images by how they ended: succeeded, canceled, failed, deadline_exceeded',
      labelNames: ['outcome'],
    }),
    engineRestarts: new Counter({
      ...own,
      name: 'sd_engine_restarts_total',
      help: 'Engines replaced between two batches, by why: memory',
      labelNames: ['reason'],
    }),
  }
}

/** The engine counts on its own thread; what it says is read when Prometheus asks. */
function addCacheMetrics(registry: Registry, engineStats: () => EngineStats | undefined): void {
  const caches = () => {
    const kept = engineStats()?.caches
    if (!kept) return []
    return [
      { cache: 'embeddings', ...kept.embeddings },
      { cache: 'cross_attention', ...kept.promptKeys },
    ]
  }
  new Counter({
    registers: [registry],
    name: 'sd_prompt_cache_lookups_total',
    help: 'Prompts looked up among those the engine has kept, by cache (embeddings, cross_attention) and outcome',
    labelNames: ['cache', 'outcome'],
    collect() {
      this.reset()
      for (const { cache, hits, misses } of caches()) {
        this.inc({ cache, outcome: 'hit' }, hits)
        this.inc({ cache, outcome: 'miss' }, misses)
      }
    },
  })
  new Gauge({
    registers: [registry],
    name: 'sd_prompt_cache_bytes',
    help: 'Memory that what the engine keeps of prompts takes, by cache',
    labelNames: ['cache'],
    collect() {
      for (const { cache, bytes } of caches()) this.set({ cache }, bytes)
    },
  })
}
