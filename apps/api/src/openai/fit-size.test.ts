import { CreateImages, parseSize } from '@sdcpu/contract'
import { expect, it } from 'vitest'
import { fitSize, readSize, sizeLike } from './fit-size.ts'

it.each([
  ['512x512', '512x512'],
  ['1024x1024', '1024x1024'],
  ['256x1024', '256x1024'],
  ['1792x1024', '1024x584'],
  ['1024x1792', '584x1024'],
  ['1536x1024', '1024x680'],
  ['2048x2048', '1024x1024'],
  ['500x500', '504x504'],
  ['1x1', '64x64'],
  ['16x32', '64x128'],
  ['3000x100', '1024x64'],
  ['99999x1', '1024x64'],
])('draws %s as %s', (asked, drawn) => {
  expect(fitSize(readSize(asked)!)).toBe(drawn)
})

it('makes an image no larger than a worker has memory for, in its shape', () => {
  expect(fitSize({ width: 1024, height: 1024 }, 512 * 512)).toBe('512x512')
  expect(fitSize({ width: 1536, height: 1024 }, 512 * 512)).toBe('624x416')
  for (const maxPixels of [100_000, 262_143, 262_144, 500_000, 999_999])
    for (const [width, height] of [
      [1024, 1024],
      [1024, 680],
      [333, 999],
    ] as const) {
      const drawn = parseSize(fitSize({ width, height }, maxPixels))
      expect(drawn.width * drawn.height).toBeLessThanOrEqual(maxPixels)
      expect(drawn.width / drawn.height).toBeCloseTo(width / height, 1)
    }
})

it('gives only sizes that the native API takes', () => {
  for (let width = 1; width < 3000; width += 137)
    for (let height = 1; height < 3000; height += 151)
      expect(CreateImages.safeParse({ prompt: 'x', size: fitSize({ width, height }, 300_000) }).success).toBe(
        true,
      )
})

it('gives a picture to begin with a size of its own shape', () => {
  expect(fitSize(sizeLike({ width: 4000, height: 3000 }, 512))).toBe('592x440')
  expect(fitSize(sizeLike({ width: 300, height: 300 }, 512))).toBe('512x512')
})

it.each(['large', '512', '0x512', '512x', '-1x5', '512x512x3', ''])('does not take %j for a size', (text) => {
  expect(() => readSize(text)).toThrow(`size is "${text}"; it must be "auto" or WIDTHxHEIGHT`)
})

it.each(['auto', null, undefined])('leaves %j to the model', (text) => {
  expect(readSize(text)).toBeUndefined()
})
