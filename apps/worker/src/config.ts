import { DEFAULT_PREFIX } from '@sdcpu/contract'
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
    REDIS_URL: z.url({ protocol: /^rediss?$/ }).describe('Redis holding the queue and the images'),
    REDIS_PREFIX: z
      .string()
      .min(1)
      .default(DEFAULT_PREFIX)
      .describe('Prefix of every key; the same for all parts'),
    MODEL: z
      .string()
      .min(1)
      .default('demo')
      .describe('Model to serve: demo, a folder, or owner/name[@revision] of the hub; also names the queue'),
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
    THREADS: wholeNumber(1, 256).optional().describe('Threads for one run; default: the CPUs there are'),
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
    LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  })
  .superRefine((config, context) => {
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
export type WorkerConfig = z.infer<typeof WorkerConfig>

/**
 * Reads the environment; an empty value counts as absent.
 * @throws with every fault at once
 */
export function loadConfig(env: NodeJS.ProcessEnv = process.env): WorkerConfig {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  for (const name of PROXIES) given[name] = given[name.toLowerCase()] ?? given[name]
  const result = WorkerConfig.safeParse(given)
  if (!result.success) throw new Error(`bad configuration:\n${z.prettifyError(result.error)}`)
  return result.data
}

/** The config as it may be logged. */
export function maskSecrets(config: WorkerConfig): WorkerConfig {
  const masked = { ...config, REDIS_URL: maskPassword(config.REDIS_URL) }
  masked.HF_ENDPOINT = maskPassword(config.HF_ENDPOINT)
  if (config.HF_TOKEN) masked.HF_TOKEN = '***'
  for (const name of PROXIES) if (config[name]) masked[name] = maskPassword(config[name])
  return masked
}

function maskPassword(text: string): string {
  const url = URL.parse(text)
  if (!url?.password) return text
  url.password = '***'
  return url.href
}
