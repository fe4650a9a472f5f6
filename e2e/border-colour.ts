import type { Locator } from 'playwright-core'

export type Colour = { hue: number; saturation: number }

/** Reads the pixels of a picture on the page and returns the mean colour of its border, a sixteenth of it wide. */
export async function borderColour(picture: Locator): Promise<Colour> {
  const [red, green, blue] = await picture.evaluate((element) => {
    // biome-ignore lint/suspicious/noExplicitAny: this part runs in the browser; the types here are Node's
    const { document } = globalThis as any
    // biome-ignore lint/suspicious/noExplicitAny: as above
    const { naturalWidth: width, naturalHeight: height } = element as any
    const context = Object.assign(document.createElement('canvas'), { width, height }).getContext('2d')
    context.drawImage(element, 0, 0)
    const { data } = context.getImageData(0, 0, width, height)
    const margin = Math.max(1, Math.round(width / 16))
    const sums: [number, number, number, number] = [0, 0, 0, 0]
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        if (x >= margin && x < width - margin && y >= margin && y < height - margin) continue
        const at = (y * width + x) * 4
        sums[0] += data[at]
        sums[1] += data[at + 1]
        sums[2] += data[at + 2]
        sums[3] += 1
      }
    }
    return [sums[0] / sums[3], sums[1] / sums[3], sums[2] / sums[3]] as const
  })
  return toColour(red, green, blue)
}

/** Hue in degrees and saturation from 0 to 1, as in HSV. */
function toColour(red: number, green: number, blue: number): Colour {
  const most = Math.max(red, green, blue)
  const range = most - Math.min(red, green, blue)
  if (range === 0) return { hue: 0, saturation: 0 }
  const sextant =
    most === red
      ? (green - blue) / range
      : most === green
        ? 2 + (blue - red) / range
        : 4 + (red - green) / range
  return { hue: (sextant * 60 + 360) % 360, saturation: range / most }
}
