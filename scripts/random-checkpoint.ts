import { randomFillSync } from 'node:crypto'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'

type Shapes = Record<string, number[]>

// Every tensor of SDXL-Turbo's single file as diffusers converts it: training/fixtures/goldens_sdxl_shapes.py.
const SHAPES = join(import.meta.dirname, '../packages/model-compiler/src/fixtures/sdxl-shapes.golden.json.gz')
const BLOCK_VALUES = 1 << 20 // 2 MiB of random bits, used over and over
const HALF_BYTES = 2
const HALF_BIAS = 15
const HALF_LEAST_EXPONENT = -14
const ONE = 0x3c00 // 1 as float16

/**
 * Writes a single-file SDXL checkpoint of random fp16 weights, full-size (6.94 GB) or, with `mid`, of the same depth at a
 * fifth of the UNet's width and a quarter of the text encoders'. Weights have variance near 1 / fan-in, so that signals
 * neither die nor blow up; they repeat every million values, which time and memory do not notice.
 */
export async function writeRandomCheckpoint(path: string, { mid }: { mid: boolean }): Promise<number> {
  const packed = await readFile(SHAPES)
  const { shapes }: { shapes: Shapes } = JSON.parse(gunzipSync(packed).toString())
  const sizes = Object.entries(shapes).map(
    ([name, shape]) => [name, mid ? shrink(name, shape) : shape] as const,
  )
  const header: Record<string, unknown> = {}
  let offset = 0
  for (const [name, shape] of sizes) {
    const end = offset + HALF_BYTES * product(shape)
    header[name] = { dtype: 'F16', shape, data_offsets: [offset, end] }
    offset = end
  }
  const text = Buffer.from(JSON.stringify(header))
  const prefix = Buffer.alloc(8)
  prefix.writeBigUInt64LE(BigInt(text.length))
  await mkdir(dirname(path), { recursive: true })
  const draft = `${path}.partial`
  const file = await open(draft, 'w')
  try {
    await file.writeFile(Buffer.concat([prefix, text]))
    const random = randomFillSync(new Uint16Array(BLOCK_VALUES))
    for (const [name, shape] of sizes)
      for (let left = product(shape); left > 0; left -= BLOCK_VALUES)
        await file.writeFile(drawValues(random, Math.min(left, BLOCK_VALUES), name, shape))
  } finally {
    await file.close()
  }
  await rename(draft, path)
  return prefix.length + text.length + offset
}

/** Norms are 1; all else has a random sign and fraction at the power of two nearest to the deviation wanted. */
function drawValues(random: Uint16Array, count: number, name: string, shape: number[]): Uint8Array {
  const isVector = shape.length === 1
  if (isVector && name.endsWith('weight')) return bytesOf(new Uint16Array(count).fill(ONE))
  const fanIn = isVector ? 2500 : product(shape.slice(1)) // biases and embeddings are small: 0.02
  const isEmbedding = /embedding/.test(name)
  const deviation = isEmbedding ? 0.02 : fanIn ** -0.5
  const exponent = Math.max(HALF_LEAST_EXPONENT, Math.round(Math.log2(deviation / 1.5)))
  const bits = (exponent + HALF_BIAS) << 10
  return bytesOf(random.subarray(0, count).map((value) => (value & 0x83ff) | bits))
}

/** Keeps every width a multiple of 64, the width of a head, and the sums that SDXL's configs need. */
function shrink(name: string, shape: number[]): number[] {
  if (name.startsWith('model.diffusion_model.'))
    return shape.map((side) => {
      if (side === 2048) return 2048 / 4 // what both text encoders give
      if (side === 2816) return 6 * 256 + 1280 / 4 // sizes and the second one's pooled embedding
      return side % 320 === 0 ? side / 5 : side
    })
  const [least, divisor] = name.startsWith('first_stage_model.') ? [128, 2] : [768, 4]
  return shape.map((side) => (side >= least && side !== 49408 ? side / divisor : side))
}

const product = (sides: number[]) => sides.reduce((a, b) => a * b, 1)
const bytesOf = (words: Uint16Array) => new Uint8Array(words.buffer, words.byteOffset, words.byteLength)
