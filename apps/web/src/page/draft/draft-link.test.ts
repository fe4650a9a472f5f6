import { describe, expect, it } from 'vitest'
import { fromFragment, toFragment, toLink } from './draft-link.ts'
import { type Draft, EMPTY_DRAFT } from './read-draft.ts'

const FULL: Draft = {
  prompt: 'a "red" fox & 100 % #snow, 狐狸 🦊\nat night',
  seed: '4294967295',
  n: 4,
  size: '256x192',
  steps: 8,
  model: 'stabilityai/sdxl-turbo',
  sampler: 'dpmpp_sde_karras',
  guidance: 1.5,
  negativePrompt: 'rain + fog',
  strength: 0.35,
}

describe('a link', () => {
  it('brings back everything that stood in the form', () => {
    expect(fromFragment(new URL(toLink(FULL, 'https://pictures.example/a/?b=c')).hash)).toEqual(FULL)
  })

  it('leads to the page it was made on, and sends nothing of the draft to its server', () => {
    const url = new URL(toLink(FULL, 'https://pictures.example/a/?b=c#old'))
    expect(url.origin + url.pathname + url.search).toBe('https://pictures.example/a/?b=c')
  })

  it('names only what differs from an empty form', () => {
    expect(toFragment({ ...EMPTY_DRAFT, prompt: 'a fox' })).toBe('prompt=a+fox')
  })

  it.each(['', '#', '#seed=7', '#prompt='])('is no draft without a prompt: "%s"', (fragment) => {
    expect(fromFragment(fragment)).toBeUndefined()
  })

  it('leaves out numbers that are none', () => {
    const draft = fromFragment('#prompt=a+fox&steps=many&guidance=-1&n=99')
    expect(draft).toEqual({ ...EMPTY_DRAFT, prompt: 'a fox' })
  })
})
