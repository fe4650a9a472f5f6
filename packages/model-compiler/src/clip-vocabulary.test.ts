import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { loadTokenizer } from '@sdcpu/diffusion'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CLIP_VOCABULARY_SIZE, clipTokenizerFiles } from './clip-vocabulary.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-vocabulary-'))
  for (const [path, content] of Object.entries(await clipTokenizerFiles())) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
})
afterAll(() => rm(folder, { recursive: true, force: true }))

it('lists as many tokens as SDXL text encoders have', async () => {
  const { 'tokenizer/vocab.json': vocab } = await clipTokenizerFiles()
  const ids: number[] = Object.values(JSON.parse(Buffer.from(vocab!).toString()))
  expect(ids.toSorted((a, b) => a - b)).toEqual(Array.from({ length: CLIP_VOCABULARY_SIZE }, (_, id) => id))
})

// Of open_clip 3.3.0's SimpleTokenizer, between start and end.
const IDS = [49406, 320, 1125, 539, 320, 2368, 267, 15304, 163, 234, 360, 49407]

it.each([
  ['tokenizer', 49407],
  ['tokenizer_2', 0],
])("gives CLIP's ids, and %s pads with %i", async (name, padding) => {
  const { ids } = (await loadTokenizer(join(folder, name))).encode('A photo of a cat, café 猫')
  expect([...ids.slice(0, 12)]).toEqual(IDS)
  expect(ids.slice(12).every((id) => id === padding)).toBe(true)
})
