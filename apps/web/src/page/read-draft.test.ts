import { CreateImages } from '@sdcpu/contract'
import { describe, expect, it } from 'vitest'
import { readDraft } from './read-draft.ts'
import { examplePrompts } from './texts.ts'

describe('readDraft', () => {
  it('leaves the seed out when the field is empty', () => {
    expect(readDraft({ prompt: ' a fox \n', seed: ' ', n: 2 })).toEqual({ input: { prompt: 'a fox', n: 2 } })
  })

  it.each(['0', '42', '4294967295'])('takes %s as a seed', (seed) => {
    expect(readDraft({ prompt: 'a fox', seed, n: 1 })).toEqual({
      input: { prompt: 'a fox', n: 1, seed: Number(seed) },
    })
  })

  it.each(['-1', '4294967296', '1.5', '1e3', 'seven', '00000000001'])('refuses %s as a seed', (seed) => {
    expect(readDraft({ prompt: 'a fox', seed, n: 1 })).toEqual({ faults: { seed: 'invalid' } })
  })

  it('names every fault at once', () => {
    expect(readDraft({ prompt: ' ', seed: 'x', n: 1 })).toEqual({
      faults: { prompt: 'missing', seed: 'invalid' },
    })
  })

  it.each(examplePrompts)('makes a request of "%s" that the API accepts', (prompt) => {
    const read = readDraft({ prompt, seed: '4294967295', n: 4 })
    expect('input' in read && CreateImages.safeParse(read.input).success).toBe(true)
  })
})
