import { z } from 'zod'

export const WebConfig = z.object({
  HOST: z.string().min(1).default('0.0.0.0').describe('Address to listen on'),
  WEB_PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65535)
    .default(5001)
    .describe('Port of the page; 0 takes a free one'),
  API_URL: z
    .url({ protocol: /^https?$/ })
    .default('http://127.0.0.1:5000')
    .describe('Where the API answers; calls of the page are passed on to it'),
  API_TIMEOUT_SECONDS: z.coerce
    .number()
    .int()
    .min(1)
    .default(900)
    .describe('Longest wait for the API to begin an answer; calls that wait for their picture need minutes'),
})
export type WebConfig = z.infer<typeof WebConfig>

/**
 * Reads the configuration from environment variables.
 * @throws Error that names every faulty variable.
 */
export function loadConfig(env: Record<string, string | undefined> = process.env): WebConfig {
  const parsed = WebConfig.safeParse(env)
  if (!parsed.success) throw new Error(`The environment is not usable:\n${z.prettifyError(parsed.error)}`)
  return parsed.data
}
