import { parentPort, workerData } from 'node:worker_threads'
import type { EngineOptions, FromEngine, ToEngine } from './engine-messages.ts'
import { generate } from './generate.ts'
import { describeModel, loadModel } from './model.ts'

const port = parentPort!
const send = (message: FromEngine, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)

const { modelDir, threads, check } = workerData as EngineOptions
const started = performance.now()
const model = await loadModel(modelDir, { threads, check })
send({ kind: 'ready', model: describeModel(model.manifest), loadMs: performance.now() - started })

port.on('message', async ({ inputs, aborted }: ToEngine) => {
  try {
    const images = await generate(model, inputs, {
      onStep: (step) => send({ kind: 'step', step }),
      isAborted: (image) => Atomics.load(aborted, image) === 1,
    })
    send(
      { kind: 'drawn', images },
      images.map((image) => image.png.buffer as ArrayBuffer),
    )
  } catch (error) {
    send({ kind: 'failed', error: error as Error })
  }
})
