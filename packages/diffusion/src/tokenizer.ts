import { createBytePairEncoder } from './byte-pair-encoding.ts'
import { type AddedToken, readTokenizerFiles } from './tokenizer-files.ts'

export type Tokens = {
  /** Start, prompt, end, padding: as many as the text encoder has positions (77 for CLIP). */
  ids: Int32Array
  /** Tokens of the whole prompt, without start and end. */
  tokenCount: number
  /** Whether the prompt had more tokens than fit, so that its end was dropped. */
  truncated: boolean
}

export type Tokenizer = {
  encode: (text: string) => Tokens
  /** Ids of a text alone, as many as it has. */
  tokenize: (text: string) => number[]
  /** Puts start and end around at most `chunkSize` ids, and pads. */
  frame: (ids: number[]) => Int32Array
  /** Tokens of a prompt that fit between start and end: 75 for CLIP. */
  chunkSize: number
}

// CLIP's words: contractions, letters, single digits, runs of anything else. The two special tokens count as words
// here when they come from upper-case text, which the search for added tokens does not find.
const WORDS =
  /<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\p{White_Space}\p{L}\p{N}]+/gu
const SPECIAL_WORD = /^(<\|)(startoftext|endoftext)(\|>)$/

/**
 * Loads a CLIP tokenizer from a diffusers folder: `vocab.json` and `merges.txt`, or else `tokenizer.json`, with
 * `tokenizer_config.json`. It gives the ids of transformers 5's `CLIPTokenizer`.
 *
 * Our own rather than `@huggingface/tokenizers`, which lower-cases Σ at the end of a word to ς and takes U+FEFF for a
 * space; transformers does neither. What remains: of the 344 letters new in Unicode 17, Node 24 knows that they are
 * letters and tokenizers 0.23 does not yet.
 * @throws when a file is missing or malformed; the message names the file and the fault
 */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const files = await readTokenizerFiles(folder)
  const encodeWord = createBytePairEncoder(files.vocab, files.merges, files.unknownId)
  const splitBefore = createSplitter(files.addedTokens.filter((token) => !token.normalized))
  const splitAfter = createSplitter(files.addedTokens.filter((token) => token.normalized))

  const encodeText = (text: string): number[] =>
    splitBefore(text, (part) => splitAfter(normalize(part), (rest) => words(rest).flatMap(encodeWord)))

  const chunkSize = files.maxLength - 2
  const frame = (ids: number[]) => {
    const framed = new Int32Array(files.maxLength).fill(files.padId)
    framed.set([files.startId, ...ids, files.endId])
    return framed
  }
  return {
    tokenize: encodeText,
    frame,
    chunkSize,
    encode(text) {
      const ids = encodeText(text)
      const kept = ids.slice(0, chunkSize)
      return { ids: frame(kept), tokenCount: ids.length, truncated: kept.length < ids.length }
    },
  }
}

/** Creates a function that finds added tokens in a text, the longest where several begin, and encodes the rest. */
function createSplitter(tokens: AddedToken[]) {
  const ids = new Map(tokens.map((token) => [token.content, token.id]))
  const contents = [...ids.keys()].sort((a, b) => b.length - a.length)
  if (contents.length === 0) return (text: string, encodeRest: (rest: string) => number[]) => encodeRest(text)
  const pattern = new RegExp(`(${contents.map(escapeRegExp).join('|')})`, 'u')
  return (text: string, encodeRest: (rest: string) => number[]): number[] =>
    text.split(pattern).flatMap((part) => {
      const id = ids.get(part)
      return id === undefined ? encodeRest(part) : [id]
    })
}

// Letter by letter, because a whole string's lower case knows the final ς and transformers' does not.
function normalize(text: string): string {
  return Array.from(text.normalize('NFC'), (letter) => letter.toLowerCase()).join('')
}

function words(text: string): string[] {
  return (text.match(WORDS) ?? []).flatMap((word) => SPECIAL_WORD.exec(word)?.slice(1) ?? [word])
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
}
