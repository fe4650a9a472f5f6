import { describe, expect, it } from 'vitest'
import { parseEmphasis } from './emphasis.ts'

describe('parseEmphasis', () => {
  it.each<[string, [string, number][]]>([
    ['a fox', [['a fox', 1]]],
    ['', [['', 1]]],
    ['()', [['', 1]]],
    [
      'a (red) fox',
      [
        ['a ', 1],
        ['red', 1.1],
        [' fox', 1],
      ],
    ],
    [
      'a (red:1.2) fox',
      [
        ['a ', 1],
        ['red', 1.2],
        [' fox', 1],
      ],
    ],
    ['(red:.5)', [['red', 0.5]]],
    ['(red:-1)', [['red', -1]]],
    ['((red))', [['red', 1.21]]],
    ['[red]', [['red', 1 / 1.1]]],
    ['[(red)]', [['red', 1]]],
    [
      '(a [b] (c:1.5))',
      [
        ['a ', 1.1],
        ['b', 1],
        [' ', 1.1],
        ['c', 1.65],
      ],
    ],
    ['(a)(b)', [['ab', 1.1]]],
    ['(a:1.2)(b:1.2)', [['ab', 1.2]]],
    ['(red fox', [['red fox', 1.1]]],
    ['[red fox', [['red fox', 1 / 1.1]]],
    ['red) fox]', [['red) fox]', 1]]],
    ['red:1.2) fox', [['red:1.2) fox', 1]]],
    ['[red:1.2]', [['red:1.2', 1 / 1.1]]],
    ['(red:blue)', [['red:blue', 1.1]]],
    ['(a:1.2.3)', [['a:1.2.3', 1.1]]],
    ['\\(red\\) \\[fox\\]', [['(red) [fox]', 1]]],
    ['(red \\(fox\\):1.3)', [['red (fox)', 1.3]]],
    ['a \\\\ b \\c', [['a \\ b c', 1]]],
    ['(猫🦊:1.5)', [['猫🦊', 1.5]]],
    ['a BREAK b', [['a BREAK b', 1]]],
  ])('reads %j', (prompt, expected) => {
    const parts = parseEmphasis(prompt)
    expect(parts.map(({ text }) => text)).toEqual(expected.map(([text]) => text))
    parts.forEach(({ weight }, i) => {
      expect(weight).toBeCloseTo(expected[i]![1], 12)
    })
  })
})
