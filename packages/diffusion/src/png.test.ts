import { crc32 } from 'node:zlib'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { encodePng, formatParameters } from './png.ts'

const [width, height] = [24, 16]
const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 256)
const encode = (parameters: string) => encodePng(rgb, { width, height, parameters })

describe('encodePng', () => {
  it('keeps every pixel', async () => {
    const { data, info } = await sharp(await encode('a fox'))
      .raw()
      .toBuffer({ resolveWithObject: true })
    expect(info).toMatchObject({ width, height, channels: 3 })
    expect(new Uint8Array(data)).toEqual(rgb)
  })

  it('gives equal bytes for equal input', async () => {
    expect(await encode('a fox')).toEqual(await encode('a fox'))
  })

  it('owns its memory, so that it can be transferred to another thread', async () => {
    const png = await encode('a fox')
    expect(png.buffer.byteLength).toBe(png.byteLength)
  })

  it('writes Latin-1 parameters as tEXt after the header', async () => {
    const [header, text] = readChunks(await encode('a café\nSteps: 4'))
    expect(header!.type).toBe('IHDR')
    expect(text!.type).toBe('tEXt')
    expect(text!.data.toString('latin1')).toBe('parameters\0a café\nSteps: 4')
  })

  it('writes other parameters as UTF-8 in iTXt', async () => {
    const [, text] = readChunks(await encode('一只红狐狸 🦊'))
    expect(text!.type).toBe('iTXt')
    expect(text!.data.toString('utf8')).toBe('parameters\0\0\0\0\0一只红狐狸 🦊')
  })

  it('drops NUL, which would end the keyword', async () => {
    const [, text] = readChunks(await encode('a\0b'))
    expect(text!.data.toString('latin1')).toBe('parameters\0ab')
  })

  it('gives each chunk the checksum of its type and data', async () => {
    for (const { type, data, crc } of readChunks(await encode('a fox'))) {
      expect(crc).toBe(crc32(data, crc32(type)))
    }
  })

  it.each(['a fox', '一只红狐狸'])('is read back by libvips: %s', async (parameters) => {
    const { comments } = await sharp(await encode(parameters)).metadata()
    expect(comments).toEqual([{ keyword: 'parameters', text: parameters }])
  })
})

describe('formatParameters', () => {
  const parameters = {
    prompt: 'a red fox, in snow',
    steps: 4,
    sampler: 'Euler a',
    guidance: 1,
    seed: 7,
    width: 512,
    height: 768,
    model: 'demo',
    version: '0.1.0',
  }

  it('writes the prompt and one line of settings', () => {
    expect(formatParameters(parameters)).toBe(
      'a red fox, in snow\nSteps: 4, Sampler: Euler a, CFG scale: 1, Seed: 7, Size: 512x768, Model: demo, Version: 0.1.0',
    )
  })

  it('writes a negative prompt on a line of its own, and none where it is empty', () => {
    expect(formatParameters({ ...parameters, negativePrompt: 'blurry, grey' })).toMatch(
      /^a red fox, in snow\nNegative prompt: blurry, grey\nSteps: 4, /,
    )
    expect(formatParameters({ ...parameters, negativePrompt: '' })).toBe(formatParameters(parameters))
  })

  it('names the schedule after the sampler where it is told one', () => {
    expect(formatParameters({ ...parameters, schedule: 'SGM Uniform' })).toContain(
      'Sampler: Euler a, Schedule type: SGM Uniform, CFG scale: 1',
    )
  })

  it('quotes values that hold the separators', () => {
    expect(formatParameters({ ...parameters, model: 'a, "b": c' })).toContain(
      'Model: "a, \\"b\\": c", Version',
    )
  })
})

function readChunks(png: Uint8Array): { type: string; data: Buffer; crc: number }[] {
  const bytes = Buffer.from(png)
  expect(bytes.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n')
  const chunks = []
  for (let at = 8; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at)
    const end = at + 8 + length
    chunks.push({
      type: bytes.toString('latin1', at + 4, at + 8),
      data: bytes.subarray(at + 8, end),
      crc: bytes.readUInt32BE(end),
    })
    at = end + 4
  }
  return chunks
}
