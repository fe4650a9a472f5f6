import * as ExifReader from 'exifreader'
import sharp from 'sharp'
import { expect, it } from 'vitest'
import { convertPng } from './convert-png.ts'
import { encodePng } from './png.ts'
import { addUserCommentToJpeg, addUserCommentToWebp } from './user-comment.ts'

const [width, height] = [64, 48]
const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7 + (i >> 6) * 3) % 256)
const FORMATS = ['jpeg', 'webp'] as const
const TEXTS = [
  'a red fox\nSteps: 1, Seed: 7',
  'an even number of letters:',
  'un café très sucré\nSteps: 1',
  '雪地里的一只红色狐狸 🦊，水墨画\nNegative prompt: 模糊\nSteps: 4, Seed: 7',
  '', // no prompt has none, and no reader may stumble over it
]

it.each(FORMATS)('keeps size and the look in a %s', async (format) => {
  const smooth = rgb.map((_, i) => (i / 3 / width) * 4 + (i % 3) * 20)
  const png = await encodePng(smooth, { width, height, parameters: 'a red fox' })
  const converted = await convertPng(png, format)
  expect(await sharp(converted).metadata()).toMatchObject({ format, width, height, hasAlpha: false })
  const pixels = await sharp(converted).raw().toBuffer()
  const meanError = smooth.reduce((sum, value, i) => sum + Math.abs(value - pixels[i]!), 0) / smooth.length
  expect(meanError).toBeLessThan(3)
})

it.each(FORMATS.flatMap((format) => TEXTS.map((text) => [format, text] as const)))(
  'keeps the settings in a %s as other tools read them: %j',
  async (format, parameters) => {
    const converted = await convertPng(await encodePng(rgb, { width, height, parameters }), format)
    const tags = ExifReader.load(Buffer.from(converted))
    const comment = Buffer.from((tags.UserComment as { value: number[] }).value)
    // As AUTOMATIC1111 reads it: eight bytes that name the encoding, then UTF-16 of big-endian order.
    expect(comment.toString('latin1', 0, 8)).toBe('UNICODE\0')
    expect(comment.subarray(8).swap16().toString('utf16le')).toBe(parameters)
    expect(tags.ExifVersion?.description).toBe('0232')
  },
)

it('gives equal bytes for equal pictures', async () => {
  const png = await encodePng(rgb, { width, height, parameters: 'a fox' })
  const [one, two] = await Promise.all([convertPng(png, 'webp'), convertPng(png, 'webp')])
  expect(Buffer.from(one).equals(Buffer.from(two))).toBe(true)
})

it('converts a picture that tells no settings', async () => {
  const png = await sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
  const { format, exif } = await sharp(await convertPng(png, 'jpeg')).metadata()
  expect([format, exif]).toEqual(['jpeg', undefined])
})

it('refuses settings too long for a JPEG, and files that are not what it adds to', async () => {
  const jpeg = await sharp(rgb, { raw: { width, height, channels: 3 } })
    .jpeg()
    .toBuffer()
  expect(() => addUserCommentToJpeg(jpeg, 'x'.repeat(40_000))).toThrow('a JPEG segment has room for 65533')
  expect(() => addUserCommentToWebp(jpeg, 'x', { width, height })).toThrow('a simple WebP file was expected')
})
