/** A stretch of a prompt and how much it counts; 1 is the usual. */
export type Weighted = { text: string; weight: number }

// An escaped bracket or backslash; a lone backslash; a bracket; a weight that ends a round bracket; text; a colon.
const PART = /\\[\\()[\]]|\\|[([\]]|:([+-]?(?:\d+\.?\d*|\.\d+))\)|\)|[^\\()[\]:]+|:/gu
const STRONGER = 1.1
const WEAKER = 1 / 1.1

/**
 * Reads AUTOMATIC1111's emphasis: `(word)` counts 1.1 times, `(word:1.3)` 1.3 times, `[word]` 1 / 1.1 times, nested ones
 * multiplied; a backslash before a bracket or backslash makes it text. An opening bracket that is not closed holds to
 * the end, a closing one that was not opened is text, and a backslash before anything else is dropped.
 * `BREAK` is not a keyword. Behaviour after `parse_prompt_attention`,
 * https://github.com/AUTOMATIC1111/stable-diffusion-webui/blob/0674fabd0d82c69c02ff362762815c4536687b95/modules/prompt_parser.py
 */
export function parseEmphasis(prompt: string): Weighted[] {
  const parts: Weighted[] = []
  const open = { round: [] as number[], square: [] as number[] }
  const weigh = (from: number, factor: number) => {
    for (const part of parts.slice(from)) part.weight *= factor
  }
  for (const [text, weight] of prompt.matchAll(PART)) {
    if (text.startsWith('\\')) parts.push({ text: text.slice(1), weight: 1 })
    else if (text === '(') open.round.push(parts.length)
    else if (text === '[') open.square.push(parts.length)
    else if (weight !== undefined && open.round.length > 0) weigh(open.round.pop()!, Number(weight))
    else if (text === ')' && open.round.length > 0) weigh(open.round.pop()!, STRONGER)
    else if (text === ']' && open.square.length > 0) weigh(open.square.pop()!, WEAKER)
    else parts.push({ text, weight: 1 })
  }
  for (const from of open.round) weigh(from, STRONGER)
  for (const from of open.square) weigh(from, WEAKER)
  return joinEqual(parts)
}

function joinEqual(parts: Weighted[]): Weighted[] {
  const joined: Weighted[] = []
  for (const part of parts) {
    const last = joined.at(-1)
    if (last?.weight === part.weight) last.text += part.text
    else joined.push(part)
  }
  return joined.length > 0 ? joined : [{ text: '', weight: 1 }]
}
