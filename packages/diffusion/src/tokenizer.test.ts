import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import golden from './fixtures/tokenizer.golden.json' with { type: 'json' }
import { loadTokenizer } from './tokenizer.ts'

const fixture = (name: string) => join(import.meta.dirname, 'fixtures', name)
const folders = [...new Set(golden.cases.map(({ folder }) => folder))]

// Made by training/fixtures/goldens_tokenizer.py, which also says what each layout stands for.
describe.each(folders)('%s against transformers’ CLIPTokenizer', (folder) => {
  const cases = golden.cases.filter((entry) => entry.folder === folder)

  it(`gives equal ids for a table of ${cases.length} awkward prompts`, async () => {
    const { encode } = await loadTokenizer(fixture(folder))
    const expected = cases.map(({ text, ids, padId, tokenCount }) => ({
      text,
      ids: Int32Array.from({ length: 77 }, (_, i) => ids[i] ?? padId),
      tokenCount,
      truncated: tokenCount > 75,
    }))
    expect(cases.map(({ text }) => ({ text, ...encode(text) }))).toEqual(expected)
  })
})

describe('loadTokenizer', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tokenizer-'))
    await cp(fixture('tokenizer-plain'), folder, { recursive: true })
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('keeps the end token when it truncates', async () => {
    const { ids, truncated } = await loadTokenizer(folder).then(({ encode }) => encode('fox '.repeat(200)))
    expect(truncated).toBe(true)
    expect(ids.at(-1)).toBe((await loadTokenizer(folder)).encode('').ids[1])
  })

  it('names a file that is missing', async () => {
    await rm(join(folder, 'merges.txt'))
    await expect(loadTokenizer(folder)).rejects.toThrow(/merges\.txt: cannot be read \(ENOENT/)
    await rm(join(folder, 'vocab.json'))
    await expect(loadTokenizer(folder)).rejects.toThrow(
      'has neither vocab.json with merges.txt nor tokenizer.json',
    )
  })

  it('names a file that is not JSON', async () => {
    await writeFile(join(folder, 'vocab.json'), '{"a": 1')
    await expect(loadTokenizer(folder)).rejects.toThrow(/vocab\.json: is not JSON/)
  })

  it('names the field a config lacks', async () => {
    await writeFile(join(folder, 'tokenizer_config.json'), '{}')
    await expect(loadTokenizer(folder)).rejects.toThrow(/tokenizer_config\.json: .*model_max_length/s)
  })

  it('names a merge that makes no token of the vocabulary', async () => {
    await writeFile(join(folder, 'merges.txt'), '#version: 0.2\nt h\nq zzz\n')
    await expect(loadTokenizer(folder)).rejects.toThrow(/merges\.txt: merge 3 is "q zzz"/)
  })

  it('names a special token the vocabulary does not list', async () => {
    await writeFile(join(folder, 'special_tokens_map.json'), '{"pad_token": "<pad>"}')
    await expect(loadTokenizer(folder)).rejects.toThrow(/vocab\.json: pad_token is "<pad>"/)
  })
})
