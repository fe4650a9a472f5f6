import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { readPicture } from './read-picture.ts'

/** A picture whose red says the column and whose green says the row. */
function ramp(width: number, height: number): Buffer {
  const rgb = Buffer.alloc(3 * width * height)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      rgb.set(
        [Math.round((255 * x) / (width - 1)), Math.round((255 * y) / (height - 1)), 40],
        3 * (y * width + x),
      )
  return rgb
}

const encode = (width: number, height: number) =>
  sharp(ramp(width, height), { raw: { width, height, channels: 3 } })

describe('readPicture', () => {
  it('keeps the pixels of a picture that has the size already', async () => {
    const { rgb, width, height } = await readPicture(await encode(16, 24).png().toBuffer(), {
      width: 16,
      height: 24,
    })
    expect({ width, height }).toEqual({ width: 16, height: 24 })
    expect(Buffer.from(rgb).equals(ramp(16, 24))).toBe(true)
  })

  it('scales until the size is covered, and cuts around the middle', async () => {
    const { rgb } = await readPicture(await encode(256, 64).png().toBuffer(), { width: 32, height: 32 })
    const at = (x: number, y: number) => [...rgb.subarray(3 * (32 * y + x), 3 * (32 * y + x) + 3)]
    // Of 128 columns at half the height, 48 are cut off on each side.
    const near = (found: number | undefined, expected: number) =>
      expect(Math.abs(found! - expected)).toBeLessThan(6)
    near(at(0, 16)[0], 255 * (48 / 128))
    near(at(31, 16)[0], 255 * (80 / 128))
    near(at(16, 0)[1], 4)
    near(at(16, 31)[1], 251)
  })

  it.each(['png', 'jpeg', 'webp'] as const)('reads %s', async (format) => {
    const file = await encode(64, 64).toFormat(format).toBuffer()
    expect((await readPicture(file, { width: 32, height: 48 })).rgb).toHaveLength(3 * 32 * 48)
  })

  it('turns a photograph upright as its EXIF says', async () => {
    const file = await encode(64, 32).withMetadata({ orientation: 6 }).png().toBuffer()
    const { rgb } = await readPicture(file, { width: 32, height: 64 })
    // Turned by a quarter clockwise, what was the left edge is the upper one.
    expect(rgb[0]).toBeLessThan(10)
    expect(rgb[3 * 32 * 63]).toBeGreaterThan(245)
  })

  it('puts what is transparent on white, and takes grey and 16-bit pictures', async () => {
    const clear = { r: 0, g: 0, b: 0, alpha: 0 }
    const empty = sharp({ create: { width: 16, height: 16, channels: 4, background: clear } })
    const size = { width: 16, height: 16 }
    expect(new Set((await readPicture(await empty.png().toBuffer(), size)).rgb)).toEqual(new Set([255]))
    const grey = await encode(16, 16).greyscale().toColourspace('b-w').png().toBuffer()
    expect((await readPicture(grey, size)).rgb).toHaveLength(3 * 16 * 16)
    const deep = await encode(16, 16).toColourspace('rgb16').png().toBuffer()
    expect((await sharp(deep).metadata()).depth).toBe('ushort')
    expect((await readPicture(deep, size)).rgb).toHaveLength(3 * 16 * 16)
  })

  it.each<[string, () => Promise<Buffer>, RegExp]>([
    ['an empty file', async () => Buffer.alloc(0), /^the image is not a PNG, JPEG or WebP file$/],
    ['text', async () => Buffer.from('hello'), /^the image is not a PNG, JPEG or WebP file$/],
    ['SVG', async () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), /not a PNG, JPEG or WebP/],
    ['GIF', () => encode(8, 8).gif().toBuffer(), /not a PNG, JPEG or WebP/],
    [
      'half a file',
      async () => (await encode(64, 64).png().toBuffer()).subarray(0, 200),
      /^the image is damaged: /,
    ],
    [
      'a header alone',
      async () => (await encode(8, 8).png().toBuffer()).subarray(0, 8),
      /^the image is damaged: /,
    ],
    [
      'more pixels than a camera gives',
      () =>
        sharp({ create: { width: 5000, height: 4000, channels: 3, background: 'red' } })
          .png()
          .toBuffer(),
      /^the image is 5000x4000, 20000000 pixels; the limit is 16777216$/,
    ],
  ])('refuses %s', async (_what, file, message) => {
    const reading = readPicture(await file(), { width: 64, height: 64 })
    await expect(reading).rejects.toThrow(message)
    await expect(reading).rejects.toBeInstanceOf(RangeError)
  })
})
