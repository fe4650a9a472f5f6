import readExif from 'exif-reader'
import sharp from 'sharp'

const KEYWORD = 'parameters' // of the text in a PNG
const CODE_BYTES = 8 // what EXIF's UserComment is written in, before it

/** The text that a PNG carries by keywords, or a JPEG or WebP as its comment, under the keyword settings have in a PNG. */
export async function readPictureText(bytes: Buffer): Promise<Record<string, string>> {
  const { comments = [], exif } = await sharp(bytes, { limitInputPixels: false }).metadata()
  const comment = exif && readComment(exif)
  return {
    ...(comment && { [KEYWORD]: comment }),
    ...Object.fromEntries(comments.map(({ keyword, text }) => [keyword, text])),
  }
}

/** The settings a picture was drawn with, as its text tells them; empty where it tells none. */
export async function readInfotext(bytes: Buffer): Promise<string> {
  return (await readPictureText(bytes))[KEYWORD] ?? ''
}

function readComment(exif: Buffer): string | undefined {
  try {
    const { bigEndian, Photo: { UserComment: comment } = {} } = readExif(exif)
    return comment && decodeComment(comment, bigEndian)
  } catch {
    return undefined // damaged, which says nothing of the picture
  }
}

function decodeComment(comment: Buffer, bigEndian: boolean): string {
  const code = comment.toString('latin1', 0, CODE_BYTES)
  const text = comment.subarray(CODE_BYTES)
  if (code.startsWith('ASCII')) return text.toString('latin1').replace(/\0+$/, '')
  if (!code.startsWith('UNICODE')) return comment.toString('utf8').replaceAll('\0', '')
  return new TextDecoder(isBigEndian(text, bigEndian) ? 'utf-16be' : 'utf-16le').decode(evenPart(text))
}

// piexif, which AUTOMATIC1111 writes with, has big-endian text in files of either order; others follow the file.
function isBigEndian(text: Buffer, ofFile: boolean): boolean {
  if (text.length < 2 || (text[0] !== 0) === (text[1] !== 0)) return ofFile
  return text[0] === 0
}

const evenPart = (text: Buffer): Buffer => text.subarray(0, text.length - (text.length % 2))
