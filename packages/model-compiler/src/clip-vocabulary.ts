import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'

/** CLIP's merges, the first 48894 of its vocabulary's file; licence and source stand beside it. */
export const CLIP_MERGES = fileURLToPath(new URL('../assets/clip-merges.txt.gz', import.meta.url))

export const CLIP_VOCABULARY_SIZE = 49408

const [START, END] = ['<|startoftext|>', '<|endoftext|>']

/** The files of SDXL's two CLIP tokenizers, which differ in their padding alone, by their path in a model. */
export async function clipTokenizerFiles(): Promise<Record<string, Uint8Array>> {
  const merges = gunzipSync(await readFile(CLIP_MERGES)).toString()
  const vocab = JSON.stringify(Object.fromEntries(listTokens(merges).map((token, id) => [token, id])))
  const files: Record<string, Uint8Array> = {}
  for (const [folder, padding] of [
    ['tokenizer', END],
    ['tokenizer_2', '!'],
  ]) {
    const special = { bos_token: START, eos_token: END, unk_token: END, pad_token: padding }
    files[`${folder}/vocab.json`] = Buffer.from(vocab)
    files[`${folder}/merges.txt`] = Buffer.from(`#version: 0.2\n${merges}`)
    files[`${folder}/tokenizer_config.json`] = Buffer.from(
      JSON.stringify({ ...special, model_max_length: 77, tokenizer_class: 'CLIPTokenizer' }),
    )
  }
  return files
}

/** Tokens by their id: the letters of all bytes, the same at a word's end, what each merge makes, start and end. */
function listTokens(merges: string): string[] {
  const isPrintable = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad)
  const bytes = Array.from({ length: 256 }, (_, byte) => byte)
  const printable = bytes.filter(isPrintable)
  const hidden = Array.from({ length: 256 - printable.length }, (_, i) => 256 + i)
  const letters = [...printable, ...hidden].map((code) => String.fromCharCode(code))
  const joined = merges
    .trimEnd()
    .split('\n')
    .map((merge) => merge.replace(' ', ''))
  return [...letters, ...letters.map((letter) => `${letter}</w>`), ...joined, START, END]
}
