import { z } from 'zod'
import { WorkerConfig } from '../config.ts'

/** Environment of `prepare`: those of the worker's settings that decide what is downloaded and compiled. */
export const PrepareConfig = z.object(WorkerConfig.shape).pick({
  MODEL: true,
  DATA_DIR: true,
  PLAN: true,
  THREADS: true,
  HF_ENDPOINT: true,
  HF_TOKEN: true,
  HF_TOKEN_PATH: true,
  HTTP_PROXY: true,
  HTTPS_PROXY: true,
  NO_PROXY: true,
})
export type PrepareConfig = z.infer<typeof PrepareConfig>

const PROXIES = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'] as const

/**
 * Reads the environment; an empty value counts as absent.
 * @throws with every fault at once
 */
export function loadPrepareConfig(env: NodeJS.ProcessEnv = process.env): PrepareConfig {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  for (const name of PROXIES) given[name] = given[name.toLowerCase()] ?? given[name]
  const result = PrepareConfig.safeParse(given)
  if (!result.success) throw new Error(`bad configuration:\n${z.prettifyError(result.error)}`)
  return result.data
}
