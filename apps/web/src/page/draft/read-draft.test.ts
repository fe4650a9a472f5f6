import { CreateImages, MAX_PROMPT_CHARACTERS, MAX_SEED, type Model } from '@sdcpu/contract'
import { describe, expect, it } from 'vitest'
import { examplePrompts } from '../example-prompts.ts'
import * as draft from './read-draft.ts'
import { type Draft, EMPTY_DRAFT, readDraft } from './read-draft.ts'

const MODEL: Model = {
  name: 'demo',
  plan: 'fp32',
  family: 'turbo',
  sizes: ['256x256'],
  timestepSpacing: 'trailing',
  nativeSize: 256,
  defaultSteps: 4,
  maxSteps: 8,
  defaultGuidance: 0,
  defaultSampler: 'euler_a',
  drawsFromImage: true,
  isDefault: true,
  status: 'ready',
}
const read = (part: Partial<Draft>, model?: Model, hasPicture?: boolean) =>
  readDraft({ ...EMPTY_DRAFT, ...part }, model, hasPicture)

describe('readDraft', () => {
  it("leaves out what stays the model's own, and a seed that is to be drawn", () => {
    expect(read({ prompt: ' a fox \n', seed: ' ', n: 2 })).toEqual({ input: { prompt: 'a fox', n: 2 } })
  })

  it('sends what was chosen', () => {
    const chosen = {
      prompt: 'a fox',
      size: '256x192',
      steps: 2,
      sampler: 'lcm',
      guidance: 2,
      negativePrompt: 'rain',
    }
    expect(read({ ...chosen, model: 'demo' }, MODEL)).toEqual({ input: { ...chosen, n: 1, model: 'demo' } })
  })

  it('sends nothing that the API may not know while no model tells', () => {
    expect(
      read({ prompt: 'a fox', sampler: 'lcm', guidance: 2, negativePrompt: 'rain', model: 'demo' }),
    ).toEqual({
      input: { prompt: 'a fox', n: 1 },
    })
  })

  it.each([0, 1, undefined])('keeps back a negative prompt that guidance %s would ignore', (guidance) => {
    const result = read({ prompt: 'a fox', guidance, negativePrompt: 'rain' }, MODEL)
    expect('input' in result && result.input).not.toHaveProperty('negativePrompt')
  })

  it.each([
    ['with a picture, the strength that was chosen', { strength: 0.8 }, MODEL, true, 0.8],
    ['with a picture, one half where none was', {}, MODEL, true, 0.5],
    ['enough strength to draw a step', { strength: 0.1, steps: 2 }, MODEL, true, 0.5],
    ["enough for the model's own steps", {}, { ...MODEL, defaultSteps: 1 }, true, 1],
    ['no strength without a picture', { strength: 0.8 }, MODEL, false, undefined],
    [
      'none to a model that draws from none',
      { strength: 0.8 },
      { ...MODEL, drawsFromImage: false },
      true,
      undefined,
    ],
    ['none to a model that does not tell', {}, { ...MODEL, drawsFromImage: undefined }, true, undefined],
    ['none while no model tells', {}, undefined, true, undefined],
  ])('sends %s', (_, part, model, hasPicture, strength) => {
    const result = read({ prompt: 'a fox', ...part }, model, hasPicture)
    expect('input' in result && result.input.strength).toBe(strength)
  })

  it('names no model that is no longer there', () => {
    const result = read({ prompt: 'a fox', model: 'last-year' }, MODEL)
    expect('input' in result && result.input).not.toHaveProperty('model')
  })

  it.each(['0', '42', '4294967295'])('takes %s as a seed', (seed) => {
    expect(read({ prompt: 'a fox', seed })).toEqual({ input: { prompt: 'a fox', n: 1, seed: Number(seed) } })
  })

  it.each(['-1', '4294967296', '1.5', '1e3', 'seven', '00000000001'])('refuses %s as a seed', (seed) => {
    expect(read({ prompt: 'a fox', seed })).toEqual({ faults: { seed: 'invalid' } })
  })

  it('names every fault at once', () => {
    expect(read({ prompt: ' ', seed: 'x' })).toEqual({ faults: { prompt: 'missing', seed: 'invalid' } })
  })

  it('counts an emoji of a long prompt as one character', () => {
    const limit = draft.MAX_PROMPT_CHARACTERS
    expect(read({ prompt: '🦊'.repeat(limit) })).toHaveProperty('input')
    expect(read({ prompt: '🦊'.repeat(limit + 1) })).toEqual({
      faults: { prompt: { characters: limit + 1 } },
    })
  })

  it.each(examplePrompts)('makes a request of "$prompt" that the API accepts', ({ prompt }) => {
    const result = read({ prompt, seed: '4294967295', n: 4, size: '512x384', steps: 4 })
    expect('input' in result && CreateImages.safeParse(result.input).success).toBe(true)
  })

  it('knows the limits of the API', () => {
    expect(draft.MAX_SEED).toBe(MAX_SEED)
    expect(draft.MAX_PROMPT_CHARACTERS).toBe(MAX_PROMPT_CHARACTERS)
  })
})
