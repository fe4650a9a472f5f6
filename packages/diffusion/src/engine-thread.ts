import { parentPort, workerData } from 'node:worker_threads'
import type { EngineStats } from './engine.ts'
import type { EngineOptions, FromEngine, ToEngine } from './engine-messages.ts'
import { generate } from './generate.ts'
import { describeModel, loadModel } from './model.ts'

const port = parentPort!
const send = (message: FromEngine, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)

const { modelDir, threads, check } = workerData as EngineOptions
const started = performance.now()
const model = await loadModel(modelDir, { threads, check })
const stats = (): EngineStats => ({
  caches: {
    embeddings: model.embeddings.stats(),
    promptKeys: model.promptKeys.stats(),
  },
})
send({
  kind: 'ready',
  model: describeModel(model.manifest),
  loadMs: performance.now() - started,
  stats: stats(),
})

port.on('message', async ({ inputs, aborted }: ToEngine) => {
  try {
    const images = await generate(model, inputs, {
      onStep: (step) => send({ kind: 'step', step }),
      onPreview: (preview) => send({ kind: 'preview', preview }, [preview.rgb.buffer as ArrayBuffer]),
      isAborted: (image) => Atomics.load(aborted, image) === 1,
    })
    send(
      { kind: 'drawn', images, stats: stats() },
      images.map((image) => image.png.buffer as ArrayBuffer),
    )
  } catch (error) {
    send({ kind: 'failed', error: error as Error })
  }
})
