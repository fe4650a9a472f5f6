import { chooseThreads, startEngine } from '@sdcpu/diffusion'
import { prepareModel, readHubOptions } from '@sdcpu/model-compiler'
import { loadConfig, type WorkerConfig } from './config.ts'
import { runWorker } from './run-worker.ts'

function readConfig(): WorkerConfig {
  try {
    return loadConfig()
  } catch (error) {
    console.error((error as Error).message)
    process.exit(1)
  }
}

const config = readConfig()
await runWorker(config, async (report) => {
  report(`preparing the model ${config.MODEL}`)
  const { dir } = await prepareModel({
    model: config.MODEL,
    dataDir: config.DATA_DIR,
    plan: config.PLAN,
    threads: config.THREADS,
    hub: await readHubOptions(config),
    onProgress: ({ message }) => report(message),
  })
  const { threads, reason } = chooseThreads(config.THREADS)
  report(`loading the model for ${reason}`)
  return startEngine({ modelDir: dir, threads, check: config.MODEL_CHECK })
})
