import { MAX_INPUT_PIXELS } from '@sdcpu/contract'
import sharp from 'sharp'
import { ApiError } from './api-error.ts'

/** A picture to begin with, its header looked at; whether the rest of it is whole, the worker finds out. */
export type InputImage = { bytes: Buffer; width: number; height: number }

const FORMATS: ((bytes: Buffer) => boolean)[] = [
  (bytes) => bytes.toString('latin1', 0, 8) === '\x89PNG\r\n\x1a\n',
  (bytes) => bytes.toString('latin1', 0, 3) === '\xff\xd8\xff',
  (bytes) => bytes.toString('latin1', 0, 4) === 'RIFF' && bytes.toString('latin1', 8, 12) === 'WEBP',
]

/**
 * Reads the base64 of a request's `image`, without decoding the picture.
 * @throws `invalid_request` where it is no PNG, JPEG or WebP file or has too many pixels
 */
export async function readInputImage(base64: string): Promise<InputImage> {
  const bytes = Buffer.from(base64, 'base64')
  // Before sharp sees it: it knows formats with scripts and references to other files.
  if (!FORMATS.some((isOne) => isOne(bytes)))
    throw new ApiError('invalid_request', 'image is not a PNG, JPEG or WebP file')
  const { width, height } = await sharp(bytes, { limitInputPixels: false })
    .metadata()
    .catch((cause) => {
      throw new ApiError('invalid_request', 'image is damaged: its header cannot be read', { cause })
    })
  if (width * height > MAX_INPUT_PIXELS)
    throw new ApiError(
      'invalid_request',
      `image is ${width}x${height}, ${width * height} pixels; the limit is ${MAX_INPUT_PIXELS}`,
    )
  return { bytes, width, height }
}
