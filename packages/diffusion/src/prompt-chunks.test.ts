import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { applyWeights } from './encode-prompts.ts'
import { chunkPrompt } from './prompt-chunks.ts'
import { loadTokenizer, type Tokenizer } from './tokenizer.ts'

describe('chunkPrompt', () => {
  let tokenizers: { tokenizer: Tokenizer; tokenizer2: Tokenizer }
  beforeAll(async () => {
    const load = (name: string) => loadTokenizer(join(import.meta.dirname, `fixtures/tokenizer-${name}`))
    tokenizers = { tokenizer: await load('plain'), tokenizer2: await load('objects') }
  })

  it.each([0, 1, 74, 75, 76, 150, 151])('cuts %i tokens into chunks of 75', (count) => {
    const { chunks, tokenCount } = chunkPrompt(tokenizers, '1'.repeat(count))
    expect(tokenCount).toBe(count)
    expect(chunks.length).toBe(Math.max(1, Math.ceil(count / 75)))
    expect(chunks.every(({ first, second }) => first.ids.length === 77 && second.ids.length === 77)).toBe(
      true,
    )
  })

  it('gives a prompt that fits the ids of the tokenizer itself, without weights', () => {
    const [chunk] = chunkPrompt(tokenizers, 'a red fox').chunks
    expect(chunk!.first).toEqual({ ids: tokenizers.tokenizer.encode('a red fox').ids })
    expect(chunk!.second).toEqual({ ids: tokenizers.tokenizer2.encode('a red fox').ids })
  })

  it('loses no token between chunks, and begins and ends each', () => {
    const text = 'a red fox in the snow, '.repeat(20)
    const { chunks } = chunkPrompt(tokenizers, text)
    const [start, ...rest] = tokenizers.tokenizer.encode('').ids
    const inner = chunks.flatMap(({ first }) => {
      expect(first.ids[0]).toBe(start)
      const end = first.ids.indexOf(rest[0]!)
      expect(end).toBeGreaterThan(0)
      return [...first.ids.subarray(1, end)]
    })
    expect(inner).toEqual(tokenizers.tokenizer.tokenize(text))
  })

  it('weighs the tokens of emphasised words only', () => {
    const plain = chunkPrompt(tokenizers, '1 2 3').chunks[0]!.first
    const [chunk] = chunkPrompt(tokenizers, '1 (2:1.5) 3', { emphasis: true }).chunks
    expect(chunk!.first.ids).toEqual(plain.ids)
    expect([...chunk!.first.weights!.subarray(0, 5)]).toEqual([1, 1, 1.5, 1, 1])
  })
})

it('keeps the mean of a chunk whose tokens are weighed', () => {
  const states = Float32Array.of(1, 2, 3, 4)
  applyWeights(states, Float32Array.of(1, 2))
  expect(states.reduce((a, b) => a + b)).toBeCloseTo(10, 5)
  expect(states[2]! / states[0]!).toBeCloseTo(6, 5)
})
