import { describe, expect, it } from 'vitest'
import { CreateImages, parseSize } from './create-images.ts'
import { describeIssues } from './errors.ts'

function refusal(body: unknown): string {
  const result = CreateImages.safeParse(body)
  if (result.success) throw new Error(`accepted ${JSON.stringify(body)}`)
  return describeIssues(result.error)
}

describe('CreateImages', () => {
  it('fills in how many and the format, and leaves seed, size and steps to the service', () => {
    expect(CreateImages.parse({ prompt: '  a red fox ' })).toEqual({
      prompt: 'a red fox',
      n: 1,
      emphasis: false,
      format: 'png',
    })
  })

  it('takes every field at its limits', () => {
    const least = {
      ...{ prompt: 'x', n: 1, seed: 0, size: '64x64', steps: 1, format: 'png' },
      ...{ guidance: 0, negativePrompt: '', sampler: 'lcm', emphasis: false, timestepSpacing: 'leading' },
    }
    const most = {
      prompt: 'x'.repeat(2000),
      n: 8,
      seed: 4294967295,
      size: '1024x1024',
      steps: 50,
      format: 'png',
      guidance: 30,
      negativePrompt: 'y'.repeat(2000),
      sampler: 'dpmpp_2m_karras',
      emphasis: true,
      timestepSpacing: 'trailing',
      model: 'stabilityai/sdxl-turbo',
    }
    expect(CreateImages.parse(least)).toEqual(least)
    expect(CreateImages.parse(most)).toEqual(most)
  })

  it('counts an emoji as one character', () => {
    expect(CreateImages.safeParse({ prompt: '🦊'.repeat(2000) }).success).toBe(true)
    expect(refusal({ prompt: '🦊'.repeat(2001) })).toBe('prompt is 2001 characters; the limit is 2000')
  })

  it.each([
    ['Euler a', 'euler_a'],
    ['DPM++ SDE Karras', 'dpmpp_sde_karras'],
    ['dpm++ 2m karras', 'dpmpp_2m_karras'],
    ['LCMScheduler', 'lcm'],
    ['TCD', 'tcd'],
  ])('takes %j for the sampler %s', (spelling, sampler) => {
    expect(CreateImages.parse({ prompt: 'x', sampler: spelling }).sampler).toBe(sampler)
  })

  it.each([
    [{ prompt: 'x'.repeat(2203) }, 'prompt is 2203 characters; the limit is 2000'],
    [{ prompt: '   ' }, 'prompt is empty; say what to draw'],
    [{}, 'prompt is missing; it must be a string'],
    [{ prompt: 7 }, 'prompt is 7; it must be a string'],
    [{ prompt: 'x', n: 9 }, 'n is 9; the limit is 8'],
    [{ prompt: 'x', n: 0 }, 'n is 0; the least is 1'],
    [{ prompt: 'x', n: 1.5 }, 'n is 1.5; it must be a whole number'],
    [{ prompt: 'x', seed: 4294967296 }, 'seed is 4294967296; the limit is 4294967295'],
    [{ prompt: 'x', seed: -1 }, 'seed is -1; the least is 0'],
    [{ prompt: 'x', seed: null }, 'seed is null; it must be a whole number'],
    [{ prompt: 'x', seed: '7' }, 'seed is "7"; it must be a whole number'],
    [{ prompt: 'x', steps: 80 }, 'steps is 80; the limit is 50'],
    [{ prompt: 'x', guidance: 31 }, 'guidance is 31; the limit is 30'],
    [{ prompt: 'x', guidance: -0.5 }, 'guidance is -0.5; the least is 0'],
    [{ prompt: 'x', guidance: '7' }, 'guidance is "7"; it must be a number'],
    [
      { prompt: 'x', negativePrompt: 'y'.repeat(2001) },
      'negativePrompt is 2001 characters; the limit is 2000',
    ],
    [{ prompt: 'x', negativePrompt: null }, 'negativePrompt is null; it must be a string'],
    [
      { prompt: 'x', sampler: 'UniPC' },
      'sampler is "UniPC"; it must be one of euler_a, euler, dpmpp_2m, dpmpp_2m_karras, dpmpp_sde_karras, lcm, tcd',
    ],
    [{ prompt: 'x', emphasis: 'yes' }, 'emphasis is "yes"; it must be true or false'],
    [
      { prompt: 'x', timestepSpacing: 'karras' },
      'timestepSpacing is "karras"; it must be one of linspace, leading, trailing',
    ],
    [{ prompt: 'x', model: '' }, 'model is empty; name one, or leave it out'],
    [{ prompt: 'x', model: 'm'.repeat(201) }, 'model is 201 characters; the limit is 200'],
    [{ prompt: 'x', format: 'gif' }, 'format is "gif"; it must be one of png, jpeg, webp'],
    [{ prompt: 'x', cfg: 1, __sampler: 2 }, 'unknown field "cfg", "__sampler"'],
    ['a red fox', 'the body must be a JSON object'],
    [null, 'the body must be a JSON object'],
    [[], 'the body must be a JSON object'],
  ])('refuses %j with a message that carries the numbers', (body, message) => {
    expect(refusal(body)).toBe(message)
  })

  it.each([
    '512',
    '512x',
    'x512',
    '512X512',
    '512 x 512',
    '60x512',
    '512x1032',
    '500x512',
    '0x0',
    '-64x64',
    '',
  ])('refuses the size %j', (size) => {
    expect(refusal({ prompt: 'x', size })).toBe(
      `size is "${size}"; it must be WIDTHxHEIGHT, both multiples of 8 from 64 to 1024`,
    )
  })

  it('names everything that is wrong at once', () => {
    expect(refusal({ prompt: '', n: 9 })).toBe('prompt is empty; say what to draw; n is 9; the limit is 8')
  })

  it('shows no more than the head of a long value', () => {
    expect(refusal({ prompt: 'x', size: 'y'.repeat(10_000) }).length).toBeLessThan(200)
  })
})

describe('parseSize', () => {
  it('reads width before height', () => {
    expect(parseSize('512x384')).toEqual({ width: 512, height: 384 })
  })

  it('does not guess at a text that was never validated', () => {
    expect(() => parseSize('big')).toThrow(/This is a bug/)
  })
})
