import sharp from 'sharp'
import { readPngParameters } from './png.ts'
import { addUserCommentToJpeg, addUserCommentToWebp } from './user-comment.ts'

// Grain is what these models leave in flat areas, and what lower qualities turn into blocks.
const QUALITY = 90

/**
 * Converts a PNG of `encodePng` to JPEG or WebP; its text goes along as the EXIF UserComment. Equal input gives equal
 * bytes.
 */
export async function convertPng(png: Uint8Array, format: 'jpeg' | 'webp'): Promise<Uint8Array> {
  const text = readPngParameters(png)
  const image = sharp(png)
  const encoder =
    format === 'jpeg'
      ? image.jpeg({ quality: QUALITY, chromaSubsampling: '4:4:4' })
      : image.webp({ quality: QUALITY, smartSubsample: true })
  const { data, info } = await encoder.toBuffer({ resolveWithObject: true })
  if (text === undefined) return data
  return format === 'jpeg' ? addUserCommentToJpeg(data, text) : addUserCommentToWebp(data, text, info)
}
