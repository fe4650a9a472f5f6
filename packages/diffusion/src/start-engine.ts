import { Worker } from 'node:worker_threads'
import { readCpuBudget } from './cpu-budget.ts'
import type { DrawnImage, Engine, EngineStats, GenerateOptions, ImageInput } from './engine.ts'
import type { EngineOptions, FromEngine, ToEngine } from './engine-messages.ts'

type Call = {
  resolve(images: DrawnImage[]): void
  reject(error: unknown): void
  onStep: GenerateOptions['onStep']
  onPreview: GenerateOptions['onPreview']
}

/**
 * Loads a compiled model on a thread of its own and waits until it can draw.
 * `threads` defaults to what `readCpuBudget` finds, `check` to `quick`.
 * @throws ModelError (by message) when the model cannot be loaded
 */
export async function startEngine({
  modelDir,
  threads = readCpuBudget().threads,
  check = 'quick',
}: Pick<EngineOptions, 'modelDir'> & Partial<EngineOptions>): Promise<Engine> {
  const workerData: EngineOptions = { modelDir, threads, check }
  const thread = new Worker(new URL('./engine-thread.ts', import.meta.url), { workerData })
  let call: Call | undefined
  let closing = false
  let stats: EngineStats | undefined
  const ready = Promise.withResolvers<Extract<FromEngine, { kind: 'ready' }>>()
  const death = Promise.withResolvers<Error>()

  thread.on('message', (message: FromEngine) => {
    if ('stats' in message) stats = message.stats
    if (message.kind === 'ready') return ready.resolve(message)
    if (message.kind === 'step') return call?.onStep?.(message.step)
    if (message.kind === 'preview') return call?.onPreview?.(message.preview)
    const ended = call
    call = undefined
    if (message.kind === 'drawn') ended?.resolve(message.images)
    else ended?.reject(message.error)
  })
  thread.on('error', (error) => end(error as Error))
  thread.on('exit', (code) => end(new Error(`the engine's thread ended with code ${code}`)))

  function end(error: Error): void {
    ready.reject(error)
    call?.reject(error)
    call = undefined
    if (!closing) death.resolve(error)
  }

  const { model, loadMs } = await ready.promise
  return {
    model,
    threads,
    loadMs,
    died: death.promise,
    stats: () => stats!,
    async generate(inputs: ImageInput[], { onStep, onPreview, signals = [] } = {}) {
      if (call) throw new Error('the engine was called while it draws. This is a bug.')
      const { aborted, release } = shareSignals(signals, inputs.length)
      try {
        return await new Promise((resolve, reject) => {
          call = { resolve, reject, onStep, onPreview }
          thread.postMessage({ inputs, aborted } satisfies ToEngine)
        })
      } finally {
        release()
      }
    },
    async close() {
      closing = true
      await thread.terminate()
    },
  }
}

/** Mirrors signals into memory that the engine's thread can read while it computes. */
function shareSignals(
  signals: (AbortSignal | undefined)[],
  count: number,
): { aborted: Int32Array; release(): void } {
  const aborted = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * count))
  const release = new AbortController()
  for (const [image, signal] of signals.entries()) {
    const mark = () => Atomics.store(aborted, image, 1)
    if (signal?.aborted) mark()
    else signal?.addEventListener('abort', mark, { signal: release.signal })
  }
  return { aborted, release: () => release.abort() }
}
