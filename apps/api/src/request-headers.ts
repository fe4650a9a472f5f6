import { z } from 'zod'

const MAX_WAIT_SECONDS = 60 // gateways give up on a request soon after

/** What a caller may say in headers about a request for images. */
export const CreateHeaders = z.looseObject({
  prefer: z
    .string()
    .optional()
    .describe(
      `\`wait=N\` answers only when all images have ended, or after N seconds (at most ${MAX_WAIT_SECONDS}); a client that hangs up meanwhile cancels them`,
    ),
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, {
      error: 'Idempotency-Key must be 1 to 255 visible ASCII characters',
    })
    .optional()
    .describe('A repeat with the same key and body joins the first request; with another body it is refused'),
})

/** A secret of one browser or program, under which its requests are listed where there are no API keys. */
export const ClientHeaders = z.looseObject({
  'x-client-token': z
    .string()
    .regex(/^[\w-]{16,100}$/, {
      error: 'X-Client-Token must be 16 to 100 letters, digits, "-" or "_"',
    })
    .optional()
    .describe(
      'A random secret of this client; where there are no API keys, requests are listed by it. Without it they are not listed',
    ),
})

/** Seconds to wait that a `Prefer` header asks for, as far as they are granted; undefined where it asks for none. */
export function readWaitSeconds(prefer: string | undefined): number | undefined {
  const asked = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})/i.exec(prefer ?? '')?.[1]
  return asked === undefined ? undefined : Math.min(Number(asked), MAX_WAIT_SECONDS)
}
