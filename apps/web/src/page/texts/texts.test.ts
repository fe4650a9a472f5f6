import { describe, expect, it } from 'vitest'
import { en } from './en.ts'
import { languageOf } from './use-texts.ts'
import { zh } from './zh.ts'

describe('the languages', () => {
  it('leave nothing of the page in English when it is Chinese', () => {
    const same = pathsOf(zh).filter((path) => at(zh, path) === at(en, path))
    // A prompt is English in both, and so are the keys on a keyboard.
    expect(same).toEqual(['promptPlaceholder'])
  })

  it('call the button what the article calls it', () => {
    expect(zh.generate).toBe('生成图片')
  })

  it('have words for each phase', () => {
    const phases = [
      { phase: 'waiting' },
      { phase: 'waiting', position: 0 },
      { phase: 'waiting', position: 3 },
      { phase: 'drawing', step: 1, steps: 4 },
      { phase: 'finishing' },
      { phase: 'partly', ready: 1, count: 4 },
      { phase: 'succeeded' },
      { phase: 'failed' },
      { phase: 'canceled' },
    ] as const
    for (const texts of [en, zh]) expect(new Set(phases.map(texts.progress)).size).toBe(phases.length)
  })

  it('write a duration in the largest units that fit', () => {
    expect([5, 65, 3725].map(en.duration)).toEqual(['5 s', '1 min 5 s', '1 h 2 min'])
  })
})

describe('languageOf', () => {
  it.each([
    [['zh-CN', 'en'], 'zh'],
    [['zh-Hant-TW'], 'zh'],
    [['de-DE', 'en-GB', 'zh'], 'en'],
    [['de-DE', 'zh'], 'zh'],
    [['fr'], 'en'],
    [[], 'en'],
  ] as const)('takes %j for %s', (preferred, language) => {
    expect(languageOf(preferred)).toBe(language)
  })
})

type Words = { [name: string]: unknown }

/** Paths of all texts that are plain words. */
function pathsOf(words: Words): string[] {
  return Object.entries(words).flatMap(([name, value]) => {
    if (typeof value === 'string') return [name]
    return value && typeof value === 'object' ? pathsOf(value as Words).map((path) => `${name}.${path}`) : []
  })
}

function at(words: Words, path: string): unknown {
  return path.split('.').reduce<unknown>((value, name) => (value as Words)[name], words)
}
