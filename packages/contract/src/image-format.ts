import { z } from 'zod'

export const IMAGE_FORMATS = ['png', 'jpeg', 'webp'] as const

/** The file format an image is stored and served in. */
export const ImageFormat = z.enum(IMAGE_FORMATS)
export type ImageFormat = z.infer<typeof ImageFormat>

const FILES: Record<ImageFormat, { extension: string; mediaType: string }> = {
  png: { extension: 'png', mediaType: 'image/png' },
  jpeg: { extension: 'jpg', mediaType: 'image/jpeg' },
  webp: { extension: 'webp', mediaType: 'image/webp' },
}

/** How files of a format end, without the dot. */
export function extensionOf(format: ImageFormat): string {
  return FILES[format].extension
}

/** What HTTP calls a format. */
export function mediaTypeOf(format: ImageFormat): string {
  return FILES[format].mediaType
}
