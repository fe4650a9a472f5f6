/**
 * Settings in JPEG and WebP files, as the EXIF UserComment, where AUTOMATIC1111 and what reads its pictures look. sharp
 * writes EXIF text in ASCII and loses every other letter; readers take UTF-16 of big-endian order, whatever the order of
 * the numbers around it, so all of it is big-endian.
 */

const EXIF_VERSION = 0x9000
const USER_COMMENT = 0x9286
const EXIF_DIRECTORY = 0x8769
const LONG = 4
const UNDEFINED = 7
const HEADER_BYTES = 8
const ENTRY_BYTES = 12
const MAX_SEGMENT_BYTES = 65_535 // of a JPEG, with the two that say so
const HAS_EXIF = 0x08 // in the flags of an extended WebP file

/** Adds `text` to a JPEG file that has no EXIF. @throws where it is longer than a segment, some 32 000 letters */
export function addUserCommentToJpeg(jpeg: Buffer, text: string): Buffer {
  const body = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), toExif(text)])
  if (body.length + 2 > MAX_SEGMENT_BYTES)
    throw new Error(
      `the settings are ${body.length} bytes; a JPEG segment has room for ${MAX_SEGMENT_BYTES - 2}`,
    )
  const head = Buffer.from([0xff, 0xe1, 0, 0])
  head.writeUInt16BE(body.length + 2, 2)
  // Behind the segment that names the file JFIF, if there is one: it has to be the first.
  const at = jpeg.readUInt16BE(2) === 0xffe0 ? 4 + jpeg.readUInt16BE(4) : 2
  return Buffer.concat([jpeg.subarray(0, at), head, body, jpeg.subarray(at)])
}

/** Adds `text` to a WebP file of the simple kind: one chunk of pixels, which are opaque. */
export function addUserCommentToWebp(
  webp: Buffer,
  text: string,
  { width, height }: { width: number; height: number },
): Buffer {
  const [riff, format, kind] = [0, 8, 12].map((at) => webp.toString('latin1', at, at + 4))
  if (riff !== 'RIFF' || format !== 'WEBP' || kind !== 'VP8 ')
    throw new Error(`a simple WebP file was expected, and not ${riff} ${format} ${kind}. This is a bug.`)
  const features = Buffer.alloc(10)
  features[0] = HAS_EXIF
  features.writeUIntLE(width - 1, 4, 3)
  features.writeUIntLE(height - 1, 7, 3)
  const body = [
    Buffer.from('WEBP'),
    riffChunk('VP8X', features),
    webp.subarray(12),
    riffChunk('EXIF', toExif(text)),
  ]
  return riffChunk('RIFF', Buffer.concat(body))
}

/** A TIFF block whose first directory leads to the EXIF one, which holds its version and the text. */
function toExif(text: string): Buffer {
  const comment = Buffer.concat([Buffer.from('UNICODE\0'), Buffer.from(text, 'utf16le').swap16()])
  const exifAt = HEADER_BYTES + directoryBytes(1)
  const commentAt = exifAt + directoryBytes(2)
  const header = Buffer.from('MM\0*\0\0\0\x08', 'latin1')
  const first = directory([{ tag: EXIF_DIRECTORY, type: LONG, count: 1, value: exifAt }])
  const exif = directory([
    { tag: EXIF_VERSION, type: UNDEFINED, count: 4, value: Buffer.from('0232').readUInt32BE() },
    { tag: USER_COMMENT, type: UNDEFINED, count: comment.length, value: commentAt },
  ])
  return Buffer.concat([header, first, exif, comment])
}

// A count, the entries, and where the next directory is: nowhere.
const directoryBytes = (entries: number): number => 2 + entries * ENTRY_BYTES + 4

/** `value` is the value itself where that has four bytes, and otherwise where in the block it stands. */
type Entry = { tag: number; type: number; count: number; value: number }

function directory(entries: Entry[]): Buffer {
  const bytes = Buffer.alloc(directoryBytes(entries.length))
  bytes.writeUInt16BE(entries.length, 0)
  for (const [i, { tag, type, count, value }] of entries.entries()) {
    const at = 2 + i * ENTRY_BYTES
    bytes.writeUInt16BE(tag, at)
    bytes.writeUInt16BE(type, at + 2)
    bytes.writeUInt32BE(count, at + 4)
    bytes.writeUInt32BE(value, at + 8)
  }
  return bytes
}

function riffChunk(kind: string, body: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.write(kind, 'latin1')
  head.writeUInt32LE(body.length, 4)
  return Buffer.concat([head, body, Buffer.alloc(body.length % 2)]) // chunks begin at even places
}
