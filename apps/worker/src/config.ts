import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import {
  checkPictureStoreConfig,
  DEFAULT_PREFIX,
  MAX_MODEL_CHARACTERS,
  modelNameOf,
  PictureStoreConfig,
} from '@sdcpu/contract'
import { MODEL_CHECKS } from '@sdcpu/diffusion'
import { checkRedisConfig, maskRedisSecrets, RedisConfig } from '@sdcpu/redis'
import { SafetyConfig } from '@sdcpu/safety'
import { z } from 'zod'

const TAKEOVER_LIMIT_MS = 30_000 // what we promise: a dead worker's images are taken up within this time

// The variables that every HTTP tool knows.
const PROXIES = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'] as const

const wholeNumber = (least: number, limit: number) => z.coerce.number().int().min(least).max(limit)

/** Environment of the worker. */
export const WorkerConfig = z
  .object({
    WORKER_PORT: wholeNumber(0, 65_535)
      .default(5002)
      .describe('Port of /healthz and /readyz; 0 picks a free one'),
    HOST: z.string().default('0.0.0.0').describe('Address to listen on'),
    ...RedisConfig.shape,
    ...PictureStoreConfig.shape,
    ...SafetyConfig.shape,
    REDIS_PREFIX: z
      .string()
      .min(1)
      .default(DEFAULT_PREFIX)
      .describe('Prefix of every key; the same for all parts'),
    MODEL: z
      .string()
      .min(1)
      .default('demo')
      .describe('Model to serve: demo, a folder or file, or owner/name[@revision] of the hub'),
    MODEL_NAME: z
      .string()
      .max(MAX_MODEL_CHARACTERS)
      .optional()
      .describe('Name it is offered by, which also names the queue; default: of a path the last part'),
    DATA_DIR: z.string().min(1).default('.data').describe('Folder for downloaded and compiled models'),
    HF_ENDPOINT: z
      .url({ protocol: /^https?$/ })
      .default('https://huggingface.co')
      .describe('Hub or mirror that models are downloaded from'),
    HF_TOKEN: z.string().optional().describe('Token for gated and private models'),
    HF_TOKEN_PATH: z.string().optional().describe('File that holds the token, where HF_TOKEN does not'),
    HTTP_PROXY: z.url().optional().describe('Proxy for downloads over HTTP; lower case counts first'),
    HTTPS_PROXY: z.url().optional().describe('Proxy for downloads over HTTPS; lower case counts first'),
    NO_PROXY: z.string().optional().describe('Hosts reached without a proxy; lower case counts first'),
    PLAN: z
      .enum(['auto', 'fp32', 'int8'])
      .default('auto')
      .describe(
        'How the model computes; auto: the faster on this machine where int8 is close enough to fp32',
      ),
    THREADS: wholeNumber(1, 256)
      .optional()
      .describe('Threads for one run; default: the physical cores allowed, within the CPU quota'),
    MODEL_CHECK: z
      .enum(MODEL_CHECKS)
      .default('quick')
      .describe('How the compiled files are checked at start; full reads every byte again'),
    BATCH_MAX_SIZE: wholeNumber(1, 16).default(4).describe('Images per batch; memory grows with it'),
    BATCH_WINDOW_MS: wholeNumber(0, 1000).default(10).describe('Wait for company when a batch is short'),
    RESULT_TTL_SECONDS: wholeNumber(1, 604_800).default(3600).describe('How long images are kept'),
    LOCK_DURATION_MS: wholeNumber(1000, 30_000)
      .default(10_000)
      .describe('How long a job stays ours without a sign of life; too short and a busy machine loses it'),
    STALLED_INTERVAL_MS: wholeNumber(500, 15_000).default(5000).describe('Time between looks for lost jobs'),
    SHUTDOWN_GRACE_SECONDS: wholeNumber(1, 3600)
      .default(60)
      .describe('Time to finish the batch after SIGTERM; must exceed the longest batch'),
    MEMORY_LIMIT_BYTES: z.coerce
      .number()
      .int()
      .min(1)
      .optional()
      .describe(
        'Memory this process may use; batches and sizes are held to it. Default: the limit of the container',
      ),
    MAX_RSS_BYTES: z.coerce
      .number()
      .int()
      .min(1)
      .optional()
      .describe(
        'Memory beyond which the engine is replaced between two batches; default: 85 % of MEMORY_LIMIT_BYTES',
      ),
    LOG_PROMPTS: z
      .enum(['true', 'false'])
      .default('false')
      .transform((text) => text === 'true')
      .describe('Whether prompts are written to the log; they may be private'),
    LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  })
  .superRefine((config, context) => {
    checkRedisConfig(config, context)
    checkPictureStoreConfig(config, context)
    // A lost job is moved by the second look that finds it without a lock, and looks of several workers
    // can be up to two intervals apart.
    const takeoverMs =
      Math.max(config.LOCK_DURATION_MS, 2 * config.STALLED_INTERVAL_MS) + 2 * config.STALLED_INTERVAL_MS
    if (takeoverMs > TAKEOVER_LIMIT_MS)
      context.addIssue({
        code: 'custom',
        path: ['LOCK_DURATION_MS'],
        message: `a dead worker's images would wait up to ${takeoverMs} ms for another; the limit is ${TAKEOVER_LIMIT_MS}. Lower LOCK_DURATION_MS or STALLED_INTERVAL_MS`,
      })
  })
export type WorkerConfig = z.infer<typeof WorkerConfig> & { MODEL_NAME: string }

/**
 * Reads the environment; an empty value counts as absent.
 * @throws with every fault at once
 */
export function loadConfig(env: NodeJS.ProcessEnv = process.env): WorkerConfig {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  for (const name of PROXIES) given[name] = given[name.toLowerCase()] ?? given[name]
  const result = WorkerConfig.safeParse(given)
  if (!result.success) throw new Error(`bad configuration:\n${z.prettifyError(result.error)}`)
  const { MODEL } = result.data
  // A folder may look like a repository's name; what is there goes before a repository, as for the compiler.
  const isPath = MODEL !== 'demo' && existsSync(MODEL)
  return {
    ...result.data,
    MODEL_NAME: result.data.MODEL_NAME ?? modelNameOf(isPath ? resolve(MODEL) : MODEL),
  }
}

/** The config as it may be logged. */
export function maskSecrets(config: WorkerConfig): WorkerConfig {
  const masked = maskRedisSecrets(config)
  masked.HF_ENDPOINT = maskPassword(config.HF_ENDPOINT)
  if (config.HF_TOKEN) masked.HF_TOKEN = '***'
  if (config.AWS_SECRET_ACCESS_KEY) masked.AWS_SECRET_ACCESS_KEY = '***'
  for (const name of PROXIES) if (config[name]) masked[name] = maskPassword(config[name])
  return masked
}

function maskPassword(text: string): string {
  const url = URL.parse(text)
  if (!url?.password) return text
  url.password = '***'
  return url.href
}
