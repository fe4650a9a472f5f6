import { describe, expect, it } from 'vitest'
import { CreateImages } from './create-images.ts'
import { describeIssues } from './errors.ts'
import { drawnSteps, MAX_INPUT_BYTES } from './input-image.ts'

const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47]).toString('base64')

function read(change: Record<string, unknown>): unknown {
  const result = CreateImages.safeParse({ prompt: 'a red fox', ...change })
  return result.success ? result.data : describeIssues(result.error)
}

describe('a picture to begin with', () => {
  it.each([PNG, `data:image/png;base64,${PNG}`, `data:image/jpeg;base64,${PNG}`])(
    'is read from %s',
    (image) => {
      expect(read({ image, strength: 0.3 })).toMatchObject({ image: PNG, strength: 0.3 })
    },
  )

  it('may have just as many bytes as the limit says', () => {
    const image = Buffer.alloc(MAX_INPUT_BYTES).toString('base64')
    expect(read({ image })).toMatchObject({ image })
    const more = Buffer.alloc(MAX_INPUT_BYTES + 1).toString('base64')
    expect(read({ image: more })).toBe('image is 8388609 bytes; the limit is 8388608')
  })

  it.each<[Record<string, unknown>, string | RegExp]>([
    [{ image: 7 }, /^image must be a string: base64 data of a PNG, JPEG or WebP file/],
    [{ image: '' }, /^image is not base64/],
    [{ image: 'abc' }, /^image is not base64/],
    [{ image: 'ab cd efg' }, /^image is not base64/],
    [{ image: 'https://example.com/fox.png' }, /^image is not base64/],
    [{ image: `data:image/png;base64,` }, /^image is not base64/],
    [
      { image: `data:image/svg+xml;base64,${PNG}` },
      'image is a data URL of type "image/svg+xml"; it must be one of image/png, image/jpeg, image/webp',
    ],
    [{ image: PNG, strength: 0 }, 'strength is 0; it must be above 0'],
    [{ image: PNG, strength: 1.01 }, 'strength is 1.01; the limit is 1'],
    [{ image: PNG, strength: '0.5' }, 'strength is "0.5"; it must be a number'],
    [{ strength: 0.5 }, 'strength is 0.5, but there is no image to begin with'],
  ])('is refused in %j', (change, message) => {
    expect(read(change)).toMatch(message)
  })
})

it.each([
  [4, undefined, 4],
  [4, 0.5, 2],
  [5, 0.3, 1],
  [10, 0.3, 3],
  [4, 0.2, 0],
])('draws of %i steps at strength %s %i', (steps, strength, drawn) => {
  expect(drawnSteps({ steps, strength })).toBe(drawn)
})
