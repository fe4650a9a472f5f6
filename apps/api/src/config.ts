import {
  checkPictureStoreConfig,
  DEFAULT_PREFIX,
  MAX_IMAGES,
  MAX_MODEL_CHARACTERS,
  modelNameOf,
  PictureStoreConfig,
} from '@sdcpu/contract'
import { checkRedisConfig, maskRedisSecrets, RedisConfig } from '@sdcpu/redis'
import { SafetyConfig } from '@sdcpu/safety'
import { z } from 'zod'
import { checkWebhookConfig, WebhookConfig } from './webhooks.ts'

const wholeNumber = (least: number, limit: number) => z.coerce.number().int().min(least).max(limit)

/** Environment of the API. */
export const ApiConfig = z
  .object({
    API_PORT: wholeNumber(0, 65_535).default(5000).describe('Port to listen on; 0 picks a free one'),
    HOST: z.string().default('0.0.0.0').describe('Address to listen on'),
    ...RedisConfig.shape,
    ...PictureStoreConfig.shape,
    ...SafetyConfig.shape,
    ...WebhookConfig.shape,
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
    API_KEYS: z
      .string()
      .optional()
      .describe(
        'Keys that callers must show, as JSON: [{"name","sha256","imagesPerMinute"?,"imagesAtOnce"?,"forwardsUsers"?,"perUser"?}]',
      ),
    API_KEYS_FILE: z.string().optional().describe('File with the same; counts before API_KEYS'),
    TRUST_PROXY: z
      .string()
      .default('loopback,uniquelocal')
      .transform((text) => text.split(',').map((part) => part.trim()))
      .describe('Addresses whose X-Forwarded-For is believed, such as loopback, uniquelocal or 10.0.0.0/8'),
    REQUEST_TIMEOUT_SECONDS: wholeNumber(1, 3600)
      .default(30)
      .describe('Time for a request to arrive whole; slower ones are cut off'),
    STREAM_LIMIT: wholeNumber(1, 100_000)
      .default(1000)
      .describe('Event streams and MCP messages open at once; each holds a connection'),
    RESULT_TTL_SECONDS: wholeNumber(1, 604_800).default(3600).describe('How long images are kept'),
    LOG_PROMPTS: z
      .enum(['true', 'false'])
      .default('false')
      .transform((text) => text === 'true')
      .describe('Whether prompts are written to the log; they may be private'),
    LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  })
  .superRefine(checkRedisConfig)
  .superRefine(checkPictureStoreConfig)
  .superRefine(checkWebhookConfig)
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

const SECRETS = ['API_KEYS', 'AWS_SECRET_ACCESS_KEY', 'WEBHOOK_SECRET'] as const

/** The config as it may be logged. */
export function maskSecrets(config: ApiConfig): ApiConfig {
  const masked = maskRedisSecrets(config)
  for (const name of SECRETS) if (masked[name]) masked[name] = '***'
  return masked
}
