import sharp from 'sharp'

/** A picture as rows of 8-bit RGB. */
export type RgbPicture = { rgb: Uint8Array; width: number; height: number }

export const MAX_PICTURE_PIXELS = 4096 * 4096 // 50 MB as RGB, and as much as cameras give
const WHITE = '#ffffff' // what shows through, as other tools have it

/**
 * Decodes a PNG, JPEG or WebP file and fits it to a size: upright as its EXIF says, in sRGB, on white where it is
 * transparent, scaled (Lanczos) until it covers the size, and cut to it around its middle. A picture of that size
 * already keeps its pixels.
 * @throws RangeError when it is none of these, too large or damaged
 */
export async function readPicture(
  bytes: Uint8Array,
  { width, height }: { width: number; height: number },
): Promise<RgbPicture> {
  await checkPicture(bytes)
  try {
    const rgb = await open(bytes)
      .autoOrient()
      .flatten({ background: WHITE })
      .toColourspace('srgb')
      .resize({ width, height, fit: 'cover', position: 'centre', kernel: 'lanczos3' })
      .removeAlpha()
      .raw()
      .toBuffer()
    return { rgb, width, height }
  } catch (cause) {
    throw new RangeError(`the image is damaged: ${firstLine(cause)}`, { cause })
  }
}

/** Looks at a picture's header alone. @throws RangeError as `readPicture` does */
async function checkPicture(bytes: Uint8Array): Promise<void> {
  // Before sharp sees it: it knows formats with scripts and references to other files.
  if (!FORMATS.some((isOne) => isOne(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))))
    throw new RangeError('the image is not a PNG, JPEG or WebP file')
  const { width, height } = await open(bytes)
    .metadata()
    .catch((cause) => {
      throw new RangeError(`the image is damaged: ${firstLine(cause)}`, { cause })
    })
  if (width * height > MAX_PICTURE_PIXELS)
    throw new RangeError(
      `the image is ${width}x${height}, ${width * height} pixels; the limit is ${MAX_PICTURE_PIXELS}`,
    )
}

const FORMATS: ((bytes: Buffer) => boolean)[] = [
  (bytes) => bytes.toString('latin1', 0, 8) === '\x89PNG\r\n\x1a\n',
  (bytes) => bytes.toString('latin1', 0, 3) === '\xff\xd8\xff',
  (bytes) => bytes.toString('latin1', 0, 4) === 'RIFF' && bytes.toString('latin1', 8, 12) === 'WEBP',
]

// The limit on pixels is ours to tell, so that sharp's own is out of the way when the header is read.
const open = (bytes: Uint8Array) => sharp(bytes, { failOn: 'error', limitInputPixels: false })

const firstLine = (cause: unknown) => (cause as Error).message.split('\n')[0]
