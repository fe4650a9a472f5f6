import { z } from 'zod'

/** How the operator's safety service is asked; the same variables for every part that asks. */
export const SafetyConfig = z.object({
  SAFETY_URL: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('HTTP service of the operator that is asked about prompts and pictures; nobody is without it'),
  SAFETY_TIMEOUT_MS: z.coerce
    .number()
    .int()
    .min(1)
    .max(60_000)
    .default(5000)
    .describe('Time to wait for the safety service'),
  SAFETY_ON_FAILURE: z
    .enum(['refuse', 'allow'])
    .default('refuse')
    .describe('What happens to prompts and pictures while the safety service does not answer'),
})
export type SafetyConfig = z.infer<typeof SafetyConfig>

/** What the service says; more fields are its own matter. */
const Verdict = z.object({
  flagged: z.boolean(),
  /** A word for the reason, which the caller is told. */
  category: z
    .string()
    .regex(/^[\w -]{1,64}$/)
    .optional(),
})
export type Verdict = z.infer<typeof Verdict>

type Question =
  | { stage: 'prompt'; prompt: string; negativePrompt?: string | undefined }
  | { stage: 'image'; prompt: string; mediaType: string; image: Uint8Array }

/** The service did not answer, or not as agreed. */
export class SafetyUnavailable extends Error {
  override name = 'SafetyUnavailable'
}

/** @throws SafetyUnavailable where `SAFETY_ON_FAILURE` is `refuse` */
export type SafetyCheck = (question: Question) => Promise<Verdict>

/** Makes the check; without `SAFETY_URL` it flags nothing and asks nobody. */
export function createSafetyCheck({
  SAFETY_URL,
  SAFETY_TIMEOUT_MS,
  SAFETY_ON_FAILURE,
}: SafetyConfig): SafetyCheck {
  if (!SAFETY_URL) return async () => ({ flagged: false })
  return async (question) => {
    const body =
      question.stage === 'image'
        ? { ...question, image: Buffer.from(question.image).toString('base64') }
        : question
    try {
      const answer = await fetch(SAFETY_URL, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        redirect: 'error',
        signal: AbortSignal.timeout(SAFETY_TIMEOUT_MS),
      })
      if (!answer.ok) throw new Error(`it answered ${answer.status}`)
      return Verdict.parse(await answer.json())
    } catch (cause) {
      if (SAFETY_ON_FAILURE === 'allow') return { flagged: false }
      throw new SafetyUnavailable('the safety service cannot be asked', { cause })
    }
  }
}
