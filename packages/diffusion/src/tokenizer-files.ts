import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'

/** A token found in the text as it is written, before any byte-pair encoding. */
export type AddedToken = {
  id: number
  content: string
  /** Whether it is looked for after lower-casing rather than before. */
  normalized: boolean
}

export type TokenizerFiles = {
  vocab: Map<string, number>
  /** Pairs in the order they were learned, `left right`. */
  merges: string[]
  addedTokens: AddedToken[]
  startId: number
  endId: number
  padId: number
  unknownId: number
  /** Positions of the text encoder. */
  maxLength: number
}

const Vocab = z.record(z.string(), z.int().min(0))

// Tokens that swallow spaces or match whole words only do not occur in CLIP folders; better refused than ignored.
const TokenOptions = z.object({
  content: z.string().min(1),
  normalized: z.boolean().optional(),
  special: z.boolean().optional(),
  lstrip: z.literal(false).optional(),
  rstrip: z.literal(false).optional(),
  single_word: z.literal(false).optional(),
})
const SpecialToken = z.union([z.string().min(1), TokenOptions])

// In the order in which transformers registers them: where two share a text, the last one's options count.
const SpecialTokens = z.object({
  bos_token: SpecialToken.optional(),
  eos_token: SpecialToken.optional(),
  unk_token: SpecialToken.optional(),
  pad_token: SpecialToken.optional(),
})
const TokenizerConfig = SpecialTokens.extend({
  model_max_length: z.int().min(3).max(4096),
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/), TokenOptions).optional(),
})
const TokenizerJson = z.object({
  added_tokens: z.array(TokenOptions.extend({ id: z.int().min(0) })).default([]),
  model: z.object({
    type: z.literal('BPE').optional(),
    end_of_word_suffix: z.literal('</w>'),
    vocab: Vocab,
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
})

/**
 * Reads the files of a CLIP tokenizer folder and settles which tokens are special, as transformers 5 does.
 * @throws when a file is missing or malformed; the message names the file and the fault
 */
export async function readTokenizerFiles(folder: string): Promise<TokenizerFiles> {
  const configPath = join(folder, 'tokenizer_config.json')
  const mapPath = join(folder, 'special_tokens_map.json')
  const config = await readJson(configPath, TokenizerConfig)
  const map = (await exists(mapPath)) ? await readJson(mapPath, SpecialTokens) : {}
  const { path, vocab, merges, added } = await readVocabulary(folder)

  const idOf = (content: string, name: string): number => {
    const id = vocab.get(content) ?? added.find((token) => token.content === content)?.id
    if (id === undefined)
      throw new Error(`${path}: ${name} is ${JSON.stringify(content)}, which it does not list`)
    return id
  }
  for (const [id, options] of Object.entries(config.added_tokens_decoder ?? {})) {
    added.push(toAddedToken(Number(id), options))
  }
  const special = {
    bos_token: map.bos_token ?? config.bos_token ?? '<|startoftext|>',
    eos_token: map.eos_token ?? config.eos_token ?? '<|endoftext|>',
    unk_token: map.unk_token ?? config.unk_token ?? '<|endoftext|>',
    pad_token: map.pad_token ?? config.pad_token ?? '<|endoftext|>',
  }
  const named = Object.entries(special).map(([name, token]) => {
    const options = typeof token === 'string' ? { content: token } : token
    return toAddedToken(idOf(options.content, name), { ...options, special: true })
  })
  const [start, end, unknown, pad] = named as [AddedToken, AddedToken, AddedToken, AddedToken]
  return {
    vocab,
    merges,
    addedTokens: [...new Map([...named, ...added].map((token) => [token.content, token])).values()],
    startId: start.id,
    endId: end.id,
    unknownId: unknown.id,
    padId: pad.id,
    maxLength: config.model_max_length,
  }
}

async function readVocabulary(folder: string) {
  const vocabPath = join(folder, 'vocab.json')
  if (!(await exists(vocabPath))) {
    const path = join(folder, 'tokenizer.json')
    if (!(await exists(path)))
      throw new Error(`${folder}: has neither vocab.json with merges.txt nor tokenizer.json`)
    const { model, added_tokens } = await readJson(path, TokenizerJson)
    const vocab = new Map(Object.entries(model.vocab))
    const merges = model.merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')))
    const added = added_tokens.map((token) => toAddedToken(token.id, token))
    return { path, vocab, merges: checkMerges(path, merges, vocab, 1), added }
  }
  const vocab = new Map(Object.entries(await readJson(vocabPath, Vocab)))
  const mergesPath = join(folder, 'merges.txt')
  const lines = (await readText(mergesPath)).trimEnd().split(/\r?\n/)
  const header = lines[0]?.startsWith('#version') ? 1 : 0
  const added: AddedToken[] = []
  return {
    path: vocabPath,
    vocab,
    merges: checkMerges(mergesPath, lines.slice(header), vocab, header + 1),
    added,
  }
}

function checkMerges(
  path: string,
  merges: string[],
  vocab: Map<string, number>,
  firstLine: number,
): string[] {
  const bad = merges.findIndex((merge) => merge.split(' ').length !== 2 || !vocab.has(merge.replace(' ', '')))
  if (bad === -1) return merges
  const found = JSON.stringify(merges[bad])
  throw new Error(
    `${path}: merge ${bad + firstLine} is ${found}, which is not a pair that makes a listed token`,
  )
}

function toAddedToken(
  id: number,
  { content, normalized, special }: z.infer<typeof TokenOptions>,
): AddedToken {
  return { id, content, normalized: normalized ?? special === false }
}

async function readJson<Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.infer<Schema>> {
  const text = await readText(path)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new Error(`${path}: is not JSON (${(cause as Error).message})`, { cause })
  }
  const result = schema.safeParse(value)
  if (!result.success) throw new Error(`${path}: ${z.prettifyError(result.error)}`, { cause: result.error })
  return result.data
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: Error) => {
    throw new Error(`${path}: cannot be read (${cause.message})`, { cause })
  })
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
