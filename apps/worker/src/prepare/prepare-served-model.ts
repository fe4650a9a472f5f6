import { prepareModel, readHubOptions } from '@sdcpu/model-compiler'
import type { PrepareConfig } from './config.ts'

/** Downloads and compiles what the settings name, unless it is there; returns the compiled folder. */
export async function prepareServedModel(
  config: PrepareConfig,
  report: (message: string) => void,
): Promise<string> {
  const { dir } = await prepareModel({
    model: config.MODEL,
    dataDir: config.DATA_DIR,
    plan: config.PLAN,
    threads: config.THREADS,
    hub: await readHubOptions(config),
    onProgress: ({ message }) => report(message),
  })
  return dir
}
