import sharp from 'sharp'

// Grain is what these models leave in flat areas, and what lower qualities turn into blocks.
const QUALITY = 90
const EXIF_DIRECTORY = 'IFD2' // the one of UserComment, where other tools look for settings in these formats

/**
 * Converts a PNG of `encodePng` to JPEG or WebP; its text goes along as the EXIF UserComment, which sharp writes in
 * ASCII: other letters lose their accents or become question marks. Equal input gives equal bytes.
 */
export async function convertPng(png: Uint8Array, format: 'jpeg' | 'webp'): Promise<Uint8Array> {
  const { comments = [] } = await sharp(png).metadata()
  const image = sharp(png)
  if (comments[0]) image.withExif({ [EXIF_DIRECTORY]: { UserComment: comments[0].text } })
  return format === 'jpeg'
    ? image.jpeg({ quality: QUALITY, chromaSubsampling: '4:4:4' }).toBuffer()
    : image.webp({ quality: QUALITY, smartSubsample: true }).toBuffer()
}
