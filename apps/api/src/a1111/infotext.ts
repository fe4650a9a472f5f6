// `Name: value` pairs as AUTOMATIC1111 writes and reads them; a value may be a JSON string. Names are bounded, or a
// hostile text would be tried from each of its characters to its end.
const PAIR = /(\w[\w \-/]{1,60}):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)/g
const MAX_CHARACTERS = 16_384 // the longest prompts and all settings
const NEGATIVE = 'Negative prompt:'
const LEAST_PAIRS = 3 // a last line with fewer is part of the prompt

/**
 * Reads settings as AUTOMATIC1111 writes them into pictures: `Prompt`, `Negative prompt` and what the last line names,
 * with `Size-1` and `Size-2` for the size. Of a text longer than any settings it reads nothing.
 */
export function parseInfotext(text: string): Record<string, string> {
  if (text.length > MAX_CHARACTERS) return {}
  const lines = text.trim().split('\n')
  const pairs = [...lines.at(-1)!.matchAll(PAIR)]
  const prompts = pairs.length < LEAST_PAIRS ? lines : lines.slice(0, -1)
  const from = prompts.findIndex((line) => line.trim().startsWith(NEGATIVE))
  const positive = from === -1 ? prompts : prompts.slice(0, from)
  const negative = from === -1 ? [] : prompts.slice(from)
  const join = (part: string[]) => part.map((line) => line.trim()).join('\n')
  return {
    Prompt: join(positive),
    'Negative prompt': join(negative).slice(NEGATIVE.length).trim(),
    ...(pairs.length < LEAST_PAIRS ? {} : Object.fromEntries(pairs.flatMap(readPair))),
  }
}

function readPair([, name, quoted]: RegExpExecArray): [string, string][] {
  const value = unquote(quoted!)
  const [, width, height] = /^(\d+)x(\d+)$/.exec(value) ?? []
  if (width === undefined) return [[name!, value]]
  return [
    [`${name}-1`, width],
    [`${name}-2`, height!],
  ]
}

function unquote(value: string): string {
  if (!value.startsWith('"')) return value.trim()
  try {
    return String(JSON.parse(value))
  } catch {
    return value
  }
}
