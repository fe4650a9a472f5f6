import { z } from 'zod'

export const MAX_INPUT_BYTES = 8 * 1024 * 1024 // what a camera gives; each waits in Redis until it is drawn from
export const MAX_INPUT_PIXELS = 4096 * 4096
export const DEFAULT_STRENGTH = 0.5 // what SDXL-Turbo's makers show

/** Characters of the longest picture as base64. */
export const MAX_INPUT_CHARACTERS = 4 * Math.ceil(MAX_INPUT_BYTES / 3)

const DATA_URL = /^data:([^,;]*);base64,/
const TYPES = ['image/png', 'image/jpeg', 'image/webp']
// Tested in one pass without backtracking: the text may have millions of characters.
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/

/** A picture to begin with: base64, or a data URL of it; read as the base64 alone. What it holds is not looked at here. */
export const InputImage = z
  .string({ error: 'image must be a string: base64 data of a PNG, JPEG or WebP file, or a data URL of it' })
  .transform((text, context): string => {
    const [head = '', type] = DATA_URL.exec(text) ?? []
    const data = text.slice(head.length)
    const fault = findFault(data, type)
    if (!fault) return data
    context.addIssue({ code: 'custom', message: fault })
    return z.NEVER
  })

/** How far from the picture to go. */
export const Strength = z
  .number({ error: (issue) => `strength is ${JSON.stringify(issue.input)}; it must be a number` })
  .gt(0, { error: (issue) => `strength is ${issue.input}; it must be above 0` })
  .max(1, { error: (issue) => `strength is ${issue.input}; the limit is 1` })

/** How many of `steps` are drawn: all of them, or from a picture the share that `strength` says. */
export function drawnSteps({
  steps,
  strength = 1,
}: {
  steps: number
  strength?: number | undefined
}): number {
  return Math.trunc(steps * strength)
}

function findFault(data: string, type: string | undefined): string | undefined {
  if (type !== undefined && !TYPES.includes(type))
    return `image is a data URL of type "${type.slice(0, 40)}"; it must be one of ${TYPES.join(', ')}`
  if (data.length % 4 !== 0 || !BASE64.test(data))
    return 'image is not base64: it must consist of A-Z, a-z, 0-9, + and /, padded with = to a multiple of 4'
  const bytes = (data.length / 4) * 3 - (data.endsWith('==') ? 2 : data.endsWith('=') ? 1 : 0)
  if (bytes > MAX_INPUT_BYTES) return `image is ${bytes} bytes; the limit is ${MAX_INPUT_BYTES}`
  return undefined
}
