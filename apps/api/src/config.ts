import { DEFAULT_PREFIX, MAX_IMAGES, MAX_MODEL_CHARACTERS, modelNameOf } from '@sdcpu/contract'
import { z } from 'zod'

const wholeNumber = (least: number, limit: number) => z.coerce.number().int().min(least).max(limit)

/** Environment of the API. */
export const ApiConfig = z.object({
  API_PORT: wholeNumber(0, 65_535).default(5000).describe('Port to listen on; 0 picks a free one'),
  HOST: z.string().default('0.0.0.0').describe('Address to listen on'),
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).describe('Redis holding the queue and the images'),
  REDIS_PREFIX: z
    .string()
    .min(1)
    .default(DEFAULT_PREFIX)
    .describe('Prefix of every key; the same for all parts'),
  MODEL: z
    .string()
    .optional()
    .describe('Model of requests that name none, as its worker has it; default: one that is ready'),
  MODEL_NAME: z
    .string()
    .max(MAX_MODEL_CHARACTERS)
    .optional()
    .describe('The same by the name it is offered by, where its worker has one set'),
  // Less would refuse a request for the most images even when nothing waits.
  QUEUE_LIMIT: wholeNumber(MAX_IMAGES, 100_000)
    .default(100)
    .describe('Images that may wait for a model; more are refused instead of waiting for too long'),
  RESULT_TTL_SECONDS: wholeNumber(1, 604_800).default(3600).describe('How long images are kept'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
})
export type ApiConfig = z.infer<typeof ApiConfig>

/**
 * Reads the environment; an empty value counts as absent.
 * @throws with every fault at once
 */
export function loadConfig(env: NodeJS.ProcessEnv = process.env): ApiConfig {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const result = ApiConfig.safeParse(given)
  if (!result.success) throw new Error(`bad configuration:\n${z.prettifyError(result.error)}`)
  const { MODEL, MODEL_NAME = MODEL && modelNameOf(MODEL) } = result.data
  return { ...result.data, MODEL_NAME }
}

/** The config as it may be logged. */
export function maskSecrets(config: ApiConfig): ApiConfig {
  const url = new URL(config.REDIS_URL)
  if (url.password) url.password = '***'
  return { ...config, REDIS_URL: url.href }
}
