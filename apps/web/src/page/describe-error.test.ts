import { CreateImages, describeIssues, ErrorCode, MAX_INPUT_BYTES } from '@sdcpu/contract'
import { describe, expect, it } from 'vitest'
import { ApiError } from './api/call-api.ts'
import { describeError } from './describe-error.ts'
import { en } from './texts/en.ts'
import { zh } from './texts/zh.ts'

const LANGUAGES = { en, zh }
const codes = ErrorCode.options.flatMap((code) => [['en', code] as const, ['zh', code] as const])
// With letters in it, an English sentence of the API; numbers and names of things are the same in both languages.
const ENGLISH = /[a-z]+ [a-z]+/

/** What the API says of a request with these settings. */
function faultOf(part: object): string {
  const { error } = CreateImages.safeParse({ prompt: 'a fox', ...part })
  return describeIssues(error!)
}

describe('describeError', () => {
  it.each(codes)('has words in %s for %s that say what to do', (language, code) => {
    const { title, hint } = describeError(new ApiError(code, 'the API says why'), LANGUAGES[language])
    expect(title).toMatch(/[.。]$/)
    expect(hint).toMatch(language === 'zh' ? /[。]$/ : /./)
  })

  it.each(ErrorCode.options)('says %s in Chinese without a word of the English of the API', (code) => {
    const details = { requestId: 'r7', category: 'violence', retryAfterSeconds: 3 }
    const { title, hint } = describeError(new ApiError(code, 'the API says why', details), zh)
    expect(`${title} ${hint}`).not.toMatch(ENGLISH)
    expect(title + hint).toMatch(/\p{Script=Han}{4}/u)
  })

  it.each([
    [{ n: 99 }, 'The number of pictures is 99; the limit is 8.', '张数为 99，上限为 8。'],
    [{ seed: -1 }, 'The seed is -1; the least is 0.', '种子为 -1，下限为 0。'],
    [{ guidance: 40 }, 'Guidance is 40; the limit is 30.', '引导强度为 40，上限为 30。'],
    [
      { negativePrompt: 'x'.repeat(2001) },
      'The negative prompt is 2001 characters; the limit is 2000.',
      '反向提示词为 2001 个字符，上限为 2000。',
    ],
    [
      { image: 'A'.repeat(4 * Math.ceil((MAX_INPUT_BYTES + 1) / 3)) },
      'The picture to start from is 8388609 bytes; the limit is 8388608.',
      '参考图片为 8388609 字节，上限为 8388608。',
    ],
  ])('says which value is out of which bounds: %#', (part, inEnglish, inChinese) => {
    const error = new ApiError('invalid_request', faultOf(part))
    expect(describeError(error, en)).toMatchObject({ hint: inEnglish, canRetry: false })
    expect(describeError(error, zh)).toMatchObject({ hint: inChinese, canRetry: false })
  })

  it('says so of the limit of a model, too', () => {
    const error = new ApiError('invalid_request', 'steps is 80; the limit of the model a/b c is 8')
    expect(describeError(error, zh).hint).toBe('步数为 80，上限为 8。')
  })

  it('passes on in English what else the API finds wrong with a request, and not in Chinese', () => {
    const message = faultOf({ size: '1x1' })
    expect(describeError(new ApiError('invalid_request', message), en).hint).toBe(message)
    expect(describeError(new ApiError('invalid_request', message), zh).hint).not.toMatch(ENGLISH)
  })

  it.each(['en', 'zh'] as const)(
    'falls back to the words of the API for a code unknown to the page (%s)',
    (language) => {
      const error = new ApiError('brand_new' as 'invalid_request', 'the moon is full')
      const words = describeError(error, LANGUAGES[language])
      expect(words).toEqual({
        ...{ title: LANGUAGES[language].refused, hint: 'the moon is full' },
        ...{ canRetry: false, retryAfterSeconds: 0 },
      })
    },
  )

  it('tells why a safety service refused', () => {
    const error = new ApiError('flagged', 'refused', { category: 'violence' })
    expect(describeError(error, en).hint).toContain('“violence”')
    expect(describeError(error, zh).hint).toContain('violence')
  })

  it('keeps to the time the API asks for', () => {
    const words = describeError(new ApiError('queue_full', 'full', { retryAfterSeconds: 12 }), en)
    expect(words).toMatchObject({ canRetry: true, retryAfterSeconds: 12 })
  })

  it('gives the number under which the logs tell more', () => {
    const error = new ApiError('internal', '', { requestId: 'trace-7' })
    expect(describeError(error, en).hint).toContain('trace-7')
    expect(describeError(error, zh).hint).toContain('trace-7')
  })

  it('has words for what is no answer of the API at all', () => {
    expect(describeError(new TypeError('x is undefined'), en).title).toBe('Something went wrong.')
  })
})
