import sharp from 'sharp'
import { expect, it } from 'vitest'
import { convertPng } from './convert-png.ts'
import { encodePng } from './png.ts'

const [width, height] = [64, 48]
const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7 + (i >> 6) * 3) % 256)

it.each(['jpeg', 'webp'] as const)('keeps size, settings and the look in a %s', async (format) => {
  const smooth = rgb.map((_, i) => (i / 3 / width) * 4 + (i % 3) * 20)
  const png = await encodePng(smooth, { width, height, parameters: 'a red fox\nSteps: 1, Seed: 7' })
  const converted = await convertPng(png, format)
  const { exif, ...metadata } = await sharp(converted).metadata()
  expect(metadata).toMatchObject({ format, width, height })
  expect(exif?.toString('latin1')).toContain('a red fox\nSteps: 1, Seed: 7')
  const pixels = await sharp(converted).raw().toBuffer()
  const meanError = smooth.reduce((sum, value, i) => sum + Math.abs(value - pixels[i]!), 0) / smooth.length
  expect(meanError).toBeLessThan(3)
})

it('gives equal bytes for equal pictures', async () => {
  const png = await encodePng(rgb, { width, height, parameters: 'a fox' })
  const [one, two] = await Promise.all([convertPng(png, 'webp'), convertPng(png, 'webp')])
  expect(Buffer.from(one).equals(Buffer.from(two))).toBe(true)
})
