import { CreateImages, MAX_SIDE } from '@sdcpu/contract'
import { describe, expect, it } from 'vitest'
import * as sizes from './sizes.ts'
import { readSize, SHAPES, shapeOf, showSize, sizesOf } from './sizes.ts'

const OWN_SIDES = [256, 512, 768, 1024]
const all = OWN_SIDES.flatMap((own) => SHAPES.map((shape) => [own, shape] as const))

const modelOf = (nativeSize: number) => ({ nativeSize, sizes: [] })

describe('sizesOf', () => {
  it.each(all)('offers sizes of a model of %i pixels, %s, that the API accepts', (own, shape) => {
    for (const size of sizesOf(shape, modelOf(own))) {
      expect(CreateImages.safeParse({ prompt: 'x', size }).success).toBe(true)
    }
  })

  it.each(all)('offers for %i, %s, nothing much larger or smaller than asked for first', (own, shape) => {
    const { width, height } = readSize(sizesOf(shape, modelOf(own))[0] ?? '')!
    expect(width * height).toBeGreaterThan(own ** 2 * (own === 1024 ? 0.5 : 0.8))
    expect(width * height).toBeLessThan(own ** 2 * 1.2)
  })

  it("begins with the model's own square", () => {
    expect(sizesOf('square', modelOf(256))).toEqual(['256x256', '384x384', '512x512'])
    expect(sizesOf('square', modelOf(1024))).toEqual(['1024x1024'])
  })

  it('begins with what the model draws well', () => {
    const model = { nativeSize: 256, sizes: ['256x256', '256x192', '192x256'] }
    expect(sizesOf('landscape', model)[0]).toBe('256x192')
    expect(sizesOf('portrait', model)[0]).toBe('192x256')
    expect(sizesOf('wide', model)[0]).toBe('352x192')
  })

  it('knows the limit of the API', () => {
    expect(sizes.MAX_SIDE).toBe(MAX_SIDE)
  })
})

describe('shapeOf', () => {
  it.each(all)('finds a size of %i pixels, %s, again', (own, shape) => {
    for (const size of sizesOf(shape, modelOf(own))) expect(shapeOf(size)).toBe(shape)
  })

  it('takes what is no size for a square', () => {
    expect(shapeOf('')).toBe('square')
    expect(shapeOf('0x10')).toBe('square')
  })
})

it('shows a size as people write it', () => {
  expect(showSize('512x384')).toBe('512 × 384')
})
