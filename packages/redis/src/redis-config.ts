import { readFileSync } from 'node:fs'
import { z } from 'zod'

const file = (what: string) =>
  z
    .string()
    .refine((path) => isReadable(path), { error: (issue) => `${issue.input} cannot be read` })
    .optional()
    .describe(what)

/** How Redis is reached; the same variables for every part that does. */
export const RedisConfig = z.object({
  REDIS_URL: z
    .string({ error: 'REDIS_URL is missing; it must be like redis://localhost:6379' })
    .refine((text) => readUrls(text).length > 0, {
      error:
        'REDIS_URL must be redis://[user[:password]@]host[:port][/database], or rediss:// for TLS; several with commas between them are the sentinels or the nodes of a cluster',
    })
    .describe(
      'Redis holding the queue and the images: redis:// or rediss:// (TLS); with Sentinel or Cluster a list with commas',
    ),
  REDIS_MODE: z
    .enum(['standalone', 'sentinel', 'cluster'])
    .default('standalone')
    .describe('What REDIS_URL leads to: one server, sentinels, or nodes of a cluster'),
  REDIS_USERNAME: z.string().optional().describe('ACL user; counts before one in REDIS_URL'),
  REDIS_PASSWORD: z.string().optional().describe('Password; counts before one in REDIS_URL'),
  REDIS_SENTINEL_MASTER: z
    .string()
    .default('mymaster')
    .describe('Name that the sentinels know the server by; only with REDIS_MODE=sentinel'),
  REDIS_SENTINEL_USERNAME: z.string().optional().describe('ACL user of the sentinels themselves'),
  REDIS_SENTINEL_PASSWORD: z.string().optional().describe('Password of the sentinels themselves'),
  REDIS_TLS_CA_FILE: file('Certificates to trust instead of the public ones, PEM; only with rediss://'),
  REDIS_TLS_CERT_FILE: file('Certificate to show to Redis, PEM; with REDIS_TLS_KEY_FILE'),
  REDIS_TLS_KEY_FILE: file('Key of REDIS_TLS_CERT_FILE, PEM'),
  REDIS_TLS_SERVERNAME: z
    .string()
    .optional()
    .describe('Name to expect in the certificate, where it is not the host of REDIS_URL'),
})
export type RedisConfig = z.infer<typeof RedisConfig>

/** What no single variable can tell is wrong. */
export function checkRedisConfig(config: RedisConfig, context: z.RefinementCtx): void {
  const fault = (path: keyof RedisConfig, message: string) =>
    context.addIssue({ code: 'custom', path: [path], message })
  const urls = readUrls(config.REDIS_URL)
  if (config.REDIS_MODE === 'standalone' && urls.length > 1)
    fault('REDIS_URL', `names ${urls.length} servers; REDIS_MODE=standalone takes 1`)
  if (new Set(urls.map(({ protocol }) => protocol)).size > 1)
    fault('REDIS_URL', 'mixes redis:// and rediss://; all or none must have TLS')
  if (config.REDIS_MODE === 'cluster' && urls.some((url) => databaseOf(url) !== 0))
    fault('REDIS_URL', 'names a database; a cluster has none')
  if (Boolean(config.REDIS_TLS_CERT_FILE) !== Boolean(config.REDIS_TLS_KEY_FILE))
    fault('REDIS_TLS_CERT_FILE', 'and REDIS_TLS_KEY_FILE must be given together')
  const hasTlsFiles = config.REDIS_TLS_CA_FILE || config.REDIS_TLS_CERT_FILE
  if (hasTlsFiles && urls.some(({ protocol }) => protocol !== 'rediss:'))
    fault('REDIS_TLS_CA_FILE', 'is given, but REDIS_URL is without TLS; write rediss://')
}

/** The variables as they may be logged. */
export function maskRedisSecrets<Config extends RedisConfig>(config: Config): Config {
  const masked = { ...config, REDIS_URL: config.REDIS_URL.replaceAll(/(:\/\/[^:@/,]*):[^@/,]*@/g, '$1:***@') }
  if (config.REDIS_PASSWORD) masked.REDIS_PASSWORD = '***'
  if (config.REDIS_SENTINEL_PASSWORD) masked.REDIS_SENTINEL_PASSWORD = '***'
  return masked
}

/** The servers of a `REDIS_URL`; none where one of them is no URL of a Redis. */
export function readUrls(text: string): URL[] {
  const urls = text.split(',').map((part) => URL.parse(part.trim()))
  return urls.every(isRedisUrl) ? urls : []
}

/** Number of the database that a URL names. */
export function databaseOf({ pathname }: URL): number {
  return Number(pathname.slice(1) || 0)
}

function isRedisUrl(url: URL | null): url is URL {
  return (
    url !== null &&
    ['redis:', 'rediss:'].includes(url.protocol) &&
    url.hostname !== '' &&
    Number.isInteger(databaseOf(url))
  )
}

function isReadable(path: string): boolean {
  try {
    return readFileSync(path).length > 0
  } catch {
    return false
  }
}
