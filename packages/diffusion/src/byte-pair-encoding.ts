const END_OF_WORD = '</w>'

/**
 * Creates the byte-pair encoder of a CLIP vocabulary: a word in, its token ids out. A byte the vocabulary lacks
 * becomes `unknownId`.
 * Source: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (2016), over bytes as in GPT-2.
 */
export function createBytePairEncoder(
  vocab: Map<string, number>,
  merges: string[],
  unknownId: number,
): (word: string) => number[] {
  const ranks = new Map(merges.map((merge, rank) => [merge, rank]))
  const encoder = new TextEncoder()

  return (word) => {
    const symbols = Array.from(encoder.encode(word), (byte) => BYTE_LETTERS[byte]!)
    symbols.push(symbols.pop()! + END_OF_WORD)
    while (joinBestPair(symbols, ranks)) {}
    return symbols.map((symbol) => vocab.get(symbol) ?? unknownId)
  }
}

/** Joins the pair that was learned first, the leftmost one of several; says whether there was one. */
function joinBestPair(symbols: string[], ranks: Map<string, number>): boolean {
  let bestRank = Number.POSITIVE_INFINITY
  let best = 0
  for (let i = 0; i + 1 < symbols.length; i++) {
    const rank = ranks.get(`${symbols[i]} ${symbols[i + 1]}`)
    if (rank === undefined || rank >= bestRank) continue
    bestRank = rank
    best = i
  }
  if (bestRank === Number.POSITIVE_INFINITY) return false
  symbols.splice(best, 2, symbols[best]! + symbols[best + 1]!)
  return true
}

/**
 * The letter that stands for each byte in a vocabulary file: itself where it is printable Latin-1, otherwise the
 * next free one from U+0100 on, so that no token holds spaces or control characters.
 */
const BYTE_LETTERS = byteLetters()

function byteLetters(): string[] {
  let next = 0x100
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad)
    return String.fromCharCode(isPrintable ? byte : next++)
  })
}
