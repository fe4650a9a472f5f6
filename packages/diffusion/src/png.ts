import { crc32 } from 'node:zlib'
import sharp from 'sharp'

/** The settings a picture was drawn with, as they are written into its file. */
export type PictureParameters = {
  prompt: string
  /** Only where it had effect. */
  negativePrompt?: string | undefined
  steps: number
  /** Name other tools know the sampler by. */
  sampler: string
  /** Name other tools know the spread of the timesteps by; only where it is not the model's own. */
  schedule?: string | undefined
  /** Classifier-free guidance; 1 is none. */
  guidance: number
  /** Only where it was drawn from an image. */
  strength?: number | undefined
  seed: number
  width: number
  height: number
  model: string
  version: string
}

const SIGNATURE_AND_HEADER_BYTES = 8 + 25 // text may stand anywhere after IHDR, which has a fixed size
// After the keyword of an iTXt chunk and its end: not compressed (two bytes), no language, no translated keyword.
const INTERNATIONAL_HEAD = '\0\0\0\0\0'
const KEYWORD = 'parameters' // where AUTOMATIC1111 and its successors look

/**
 * Encodes rows of RGB bytes as PNG, with `parameters`, if any, as the text other tools read back. Equal input gives equal bytes.
 * Adaptive filters at level 2 took 25 ms for a grainy 512x512 picture and 450 kB, level 6 without filters (sharp's
 * default) 17 ms and 759 kB, level 6 with filters no less than 450 kB.
 */
export async function encodePng(
  rgb: Uint8Array,
  { width, height, parameters }: { width: number; height: number; parameters?: string },
): Promise<Uint8Array> {
  const png = await sharp(rgb, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 2, adaptiveFiltering: true })
    .toBuffer()
  // sharp reads PNG text but writes none.
  return concat([
    png.subarray(0, SIGNATURE_AND_HEADER_BYTES),
    ...(parameters === undefined ? [] : [textChunk(KEYWORD, parameters)]),
    png.subarray(SIGNATURE_AND_HEADER_BYTES),
  ])
}

/** Writes settings in the form AUTOMATIC1111 does: the prompts, then one line of `Name: value` pairs. */
export function formatParameters(parameters: PictureParameters): string {
  const {
    prompt,
    negativePrompt,
    steps,
    sampler,
    schedule,
    guidance,
    strength,
    seed,
    width,
    height,
    model,
    version,
  } = parameters
  const settings = Object.entries({
    Steps: steps,
    Sampler: sampler,
    ...(schedule !== undefined && { 'Schedule type': schedule }),
    'CFG scale': guidance,
    Seed: seed,
    Size: `${width}x${height}`,
    Model: model,
    ...(strength !== undefined && { 'Denoising strength': strength }),
    Version: version,
  })
  const line = settings.map(([name, value]) => `${name}: ${quote(String(value))}`).join(', ')
  return [prompt, ...(negativePrompt ? [`Negative prompt: ${negativePrompt}`] : []), line].join('\n')
}

/** Reads the text that `encodePng` wrote; nothing from other files. */
export function readPngParameters(png: Uint8Array): string | undefined {
  const view = Buffer.from(png.buffer, png.byteOffset, png.byteLength).subarray(SIGNATURE_AND_HEADER_BYTES)
  const body = view.subarray(8, 8 + view.readUInt32BE(0))
  const type = view.toString('latin1', 4, 8)
  if (body.toString('latin1', 0, KEYWORD.length + 1) !== `${KEYWORD}\0`) return undefined
  if (type === 'tEXt') return body.toString('latin1', KEYWORD.length + 1)
  if (type === 'iTXt') return body.toString('utf8', KEYWORD.length + INTERNATIONAL_HEAD.length)
  return undefined
}

// Readers split the line at commas and colons, and take JSON strings for values that hold some.
function quote(value: string): string {
  return /[,:\n"]/.test(value) ? JSON.stringify(value) : value
}

/** A tEXt chunk where Latin-1 can say it, as most readers know it best, otherwise UTF-8 in an iTXt chunk. */
function textChunk(keyword: string, text: string): Uint8Array {
  const clean = text.replaceAll('\0', '') // both kinds forbid NUL, which ends a keyword
  const latin1 = Buffer.from(`${keyword}\0${clean}`, 'latin1')
  if (latin1.toString('latin1') === `${keyword}\0${clean}`) return chunk('tEXt', latin1)
  return chunk('iTXt', Buffer.from(`${keyword}${INTERNATIONAL_HEAD}${clean}`, 'utf8'))
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const body = concat([Buffer.from(type, 'latin1'), data])
  const bytes = new Uint8Array(4 + body.length + 4)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, data.length)
  bytes.set(body, 4)
  view.setUint32(4 + body.length, crc32(body)) // over type and data, not the length
  return bytes
}

// Not Buffer.concat, whose memory may be a shared pool that cannot be transferred to another thread.
function concat(parts: Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined
}
