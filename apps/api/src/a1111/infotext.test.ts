import { expect, it } from 'vitest'
import { parseInfotext } from './infotext.ts'

it.each([
  ['', { Prompt: '', 'Negative prompt': '' }],
  ['a fox, at: night', { Prompt: 'a fox, at: night', 'Negative prompt': '' }],
  [
    'a fox\nin snow\nNegative prompt: blurry\ngrey\nSteps: 4, Sampler: Euler a, Seed: 7',
    {
      ...{ Prompt: 'a fox\nin snow', 'Negative prompt': 'blurry\ngrey' },
      ...{ Steps: '4', Sampler: 'Euler a', Seed: '7' },
    },
  ],
  [
    'x\nSteps: 1, Size: 512x768, Model: "a, \\"b\\": c"',
    {
      ...{ Prompt: 'x', 'Negative prompt': '', Steps: '1', 'Size-1': '512', 'Size-2': '768' },
      Model: 'a, "b": c',
    },
  ],
  ['Negative prompt: only', { Prompt: '', 'Negative prompt': 'only' }],
])('reads %j', (text, settings) => {
  expect(parseInfotext(text)).toEqual(settings)
})

it.each([
  ['words', 'a '],
  ['spaces', ' '],
  ['names', 'ab: '],
  ['quotes', 'ab:"'],
  ['pairs', 'ab: 1, '],
])('reads the longest line of %s in time', (_, part) => {
  const startedAt = performance.now()
  parseInfotext(`x\n${part.repeat(16_000 / part.length)}`)
  expect(performance.now() - startedAt).toBeLessThan(1000)
})

it('reads nothing of a text longer than any settings', () => {
  expect(parseInfotext('a '.repeat(10_000))).toEqual({})
})
