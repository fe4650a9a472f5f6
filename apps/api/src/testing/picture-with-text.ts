import { crc32 } from 'node:zlib'
import sharp from 'sharp'

const AFTER_HEADER = 8 + 25 // where a PNG may have text: behind its signature and IHDR

/** A small PNG that carries text under the keyword `parameters`, as workers write it. */
export async function pictureWithText(text: string): Promise<Buffer> {
  const png = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
    .png()
    .toBuffer()
  const body = Buffer.from(`tEXtparameters\0${text}`, 'latin1')
  const chunk = Buffer.alloc(4 + body.length + 4)
  chunk.writeUInt32BE(body.length - 4)
  body.copy(chunk, 4)
  chunk.writeUInt32BE(crc32(body), 4 + body.length)
  return Buffer.concat([png.subarray(0, AFTER_HEADER), chunk, png.subarray(AFTER_HEADER)])
}
