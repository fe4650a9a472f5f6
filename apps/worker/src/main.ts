import { setPriority } from 'node:os'
import { chooseThreads, startEngine } from '@sdcpu/diffusion'
import { loadConfig, type WorkerConfig } from './config.ts'
import { prepareServedModel } from './prepare/prepare-served-model.ts'
import { runWorker } from './run-worker.ts'

// Drawing takes every core for seconds: on a machine that also answers callers, answering goes first. All threads are
// started after this and inherit it.
const NICENESS = 10

function readConfig(): WorkerConfig {
  try {
    return loadConfig()
  } catch (error) {
    console.error((error as Error).message)
    process.exit(1)
  }
}

const config = readConfig()
setPriority(NICENESS)
await runWorker(config, async (report) => {
  report(`preparing the model ${config.MODEL}`)
  const dir = await prepareServedModel(config, report)
  const { threads, reason } = chooseThreads(config.THREADS)
  report(`loading the model for ${reason}`)
  return startEngine({ modelDir: dir, threads, check: config.MODEL_CHECK })
})
