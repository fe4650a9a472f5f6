import readExif from 'exif-reader'
import sharp from 'sharp'

const KEYWORD = 'parameters' // of the text in a PNG
const PNG_SIGNATURE = '\x89PNG\r\n\x1a\n'
const CHUNK_BYTES = 12 // of a chunk without what it holds: length, type and checksum
const CODE_BYTES = 8 // what EXIF's UserComment is written in, before it

/** The text that a PNG carries by keywords, or a JPEG or WebP as its comment, under the keyword settings have in a PNG. */
export async function readPictureText(bytes: Buffer): Promise<Record<string, string>> {
  const { comments = [], exif } = await sharp(bytes, { limitInputPixels: false }).metadata()
  const comment = exif && readComment(exif)
  return {
    ...(comment && { [KEYWORD]: comment }),
    ...Object.fromEntries(comments.map(({ keyword, text }) => [keyword, text])),
    ...readLatinTexts(bytes),
  }
}

// libvips takes tEXt chunks for UTF-8 and loses their accents; what else may hold text it reads right.
function readLatinTexts(bytes: Buffer): Record<string, string> {
  const texts: Record<string, string> = {}
  if (bytes.toString('latin1', 0, PNG_SIGNATURE.length) !== PNG_SIGNATURE) return texts
  for (let at = PNG_SIGNATURE.length; at + CHUNK_BYTES <= bytes.length; ) {
    const length = bytes.readUInt32BE(at)
    if (bytes.toString('latin1', at + 4, at + 8) === 'tEXt') {
      const [keyword = '', ...parts] = bytes.toString('latin1', at + 8, at + 8 + length).split('\0')
      texts[keyword] = parts.join('\0')
    }
    at += CHUNK_BYTES + length
  }
  return texts
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

// piexif, which AUTOMATIC1111 writes with, has big-endian text in files of either order; others follow the file. Settings
// have many ASCII letters, whose higher byte is 0.
function isBigEndian(text: Buffer, ofFile: boolean): boolean {
  const zeros = [0, 0]
  for (const [i, byte] of text.entries()) if (byte === 0) zeros[i % 2]! += 1
  return zeros[0] === zeros[1] ? ofFile : zeros[0]! > zeros[1]!
}

const evenPart = (text: Buffer): Buffer => text.subarray(0, text.length - (text.length % 2))
