/** A picture to begin with, as it is sent: what the API takes, and no larger than it draws. */
export type InputPicture = { bytes: Blob; width: number; height: number }

/** Why a file cannot be begun with. */
export type InputFault = 'unreadable' | 'tooLarge'

const SENT_TYPES = ['image/png', 'image/jpeg', 'image/webp'] // what the API reads
const MAX_FILE_BYTES = 40_000_000 // a browser decodes it whole; the largest files of cameras
const MAX_SENT_BYTES = 1_000_000 // what is worth sending, and keeping with each request drawn from it
const SHORT_SIDE = 1024 // the longest side that is drawn: what a picture has beyond is cut or scaled away
const LONG_SIDE = 4096 // of the API
const QUALITY = 0.92

/** Reads any picture that the browser can show, and makes it smaller where it is larger than what is drawn from it. */
export async function readInputPicture(file: Blob): Promise<InputPicture | InputFault> {
  if (file.size > MAX_FILE_BYTES) return 'tooLarge'
  const bitmap = await createImageBitmap(file).catch(() => undefined)
  if (!bitmap) return 'unreadable'
  try {
    const { width, height } = bitmap
    const scale = scaleOf(width, height)
    const isAsSent = scale === 1 && file.size <= MAX_SENT_BYTES && SENT_TYPES.includes(file.type)
    // A file may be the handle of one on the disk, which can change or go away.
    if (isAsSent) return { bytes: new Blob([await file.arrayBuffer()], { type: file.type }), width, height }
    return await redraw(bitmap, Math.round(width * scale), Math.round(height * scale))
  } finally {
    bitmap.close()
  }
}

/** By how much a picture is made smaller: never below what covers the largest size that is drawn. */
export function scaleOf(width: number, height: number): number {
  return Math.min(1, SHORT_SIDE / Math.min(width, height), LONG_SIDE / Math.max(width, height))
}

async function redraw(
  bitmap: ImageBitmap,
  width: number,
  height: number,
): Promise<InputPicture | InputFault> {
  const canvas = document.createElement('canvas')
  Object.assign(canvas, { width: Math.max(1, width), height: Math.max(1, height) })
  const context = canvas.getContext('2d')
  if (!context) return 'tooLarge' // for this browser
  context.imageSmoothingQuality = 'high'
  context.fillStyle = 'white' // as the API does with what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height)
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height)
  const bytes = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/jpeg', QUALITY))
  return bytes ? { bytes, width: canvas.width, height: canvas.height } : 'tooLarge'
}

/** A file as a data URL, which is how the API takes one. */
export function toDataUrl(bytes: Blob): Promise<string> {
  const reader = new FileReader()
  return new Promise((resolve, reject) => {
    reader.onload = () => resolve(String(reader.result))
    reader.onerror = () => reject(reader.error)
    reader.readAsDataURL(bytes)
  })
}
