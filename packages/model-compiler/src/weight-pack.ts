import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { CompileError } from './compile-error.ts'
import type { PlannedWeight } from './graph.ts'
import type { DataType, OnnxInitializer } from './onnx.ts'
import { quantisedNames, quantiseWeights, sumTaps, toProductOrder } from './quantise-weights.ts'
import type { WeightsSource } from './weights-source.ts'

// ONNX Runtime maps external data by pages; a tensor that starts a page is mapped without its neighbours.
const ALIGNMENT = 4096

/**
 * Writes planned weights one after another, holding one at a time in memory.
 * @throws CompileError where a weight is not finite
 * @returns the initializers that point into the file, and the file's size and SHA-256.
 */
export async function writeWeightPack(
  path: string,
  location: string,
  planned: PlannedWeight[],
  source: WeightsSource,
): Promise<{ initializers: OnnxInitializer[]; bytes: number; sha256: string }> {
  const file = await open(path, 'wx')
  const hash = createHash('sha256')
  const initializers: OnnxInitializer[] = []
  let offset = 0
  const append = async (bytes: Uint8Array) => {
    hash.update(bytes)
    for (let done = 0; done < bytes.length; )
      done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten
    offset += bytes.length
  }
  try {
    for (const weight of planned) {
      const stored = await source.read(weight.source)
      checkFinite(stored, `${source.labelOf(weight.source)}: tensor ${weight.source}`)
      for (const { values, ...tensor } of toTensors(stored, source.shapeOf(weight.source)!, weight)) {
        initializers.push({ ...tensor, location, offset, bytes: values.byteLength })
        await append(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
        await append(new Uint8Array((ALIGNMENT - (offset % ALIGNMENT)) % ALIGNMENT))
      }
    }
    await file.sync()
  } finally {
    await file.close()
  }
  return { initializers, bytes: offset, sha256: hash.digest('hex') }
}

/** Bytes a planned weight takes in a pack, but for alignment. */
export function storedBytes({ dims, quantised }: PlannedWeight): number {
  const values = dims.reduce((a, b) => a * b, 1)
  return quantised ? values * (quantised.rest ? 2 : 1) + 4 * dims.at(-1)! : 4 * values
}

type StoredTensor = { name: string; type: DataType; dims: number[]; values: Float32Array | Int8Array }

function toTensors(
  stored: Float32Array<ArrayBuffer>,
  shape: number[],
  weight: PlannedWeight,
): StoredTensor[] {
  const { name, dims, quantised } = weight
  if (!quantised) return [{ name, type: 'float32', dims, values: arrange(stored, shape, weight) }]
  const outputs = dims[1]!
  const kernels = arrange(stored, shape, { rows: weight.rows })
  const { phase } = weight
  const values = phase === undefined ? kernels : sumTaps(kernels, phase)
  const taps = phase === undefined ? shape.slice(2).reduce((a, b) => a * b, 1) : 4
  const { high, scale, rest } = quantiseWeights(values, outputs, quantised.limit)
  const names = quantisedNames(name)
  const matrix = (values: Int8Array) => toProductOrder(values, outputs, taps)
  return [
    { name: names.high, type: 'int8', dims, values: matrix(high) },
    { name: names.scale, type: 'float32', dims: [outputs], values: scale },
    ...(quantised.rest ? [{ name: names.rest, type: 'int8', dims, values: matrix(rest) } as const] : []),
  ]
}

/**
 * Damaged bytes are rarely good numbers: without this, one NaN makes every picture black.
 * @throws CompileError that begins with `label` and names the place
 */
export function checkFinite(values: Float32Array, label: string): void {
  for (let i = 0; i < values.length; i++)
    if (!Number.isFinite(values[i]))
      throw new CompileError(`${label} holds ${values[i]} at position ${i}; finite numbers are expected`)
}

/** Takes the rows asked for and turns [rows, columns] into [columns, rows] where the graph needs it so. */
export function arrange(
  values: Float32Array<ArrayBuffer>,
  shape: number[],
  { rows = [0, shape[0]!], transpose }: { rows?: [number, number]; transpose?: boolean },
): Float32Array<ArrayBuffer> {
  const columns = values.length / shape[0]!
  const taken = values.subarray(rows[0] * columns, rows[1] * columns)
  return transpose ? transposed(taken, rows[1] - rows[0], columns) : taken
}

// Tiles keep both the rows read and the rows written in the first-level cache.
const TILE = 32

function transposed(values: Float32Array, rows: number, columns: number): Float32Array<ArrayBuffer> {
  const result = new Float32Array(values.length)
  for (let top = 0; top < rows; top += TILE)
    for (let left = 0; left < columns; left += TILE) {
      const bottom = Math.min(top + TILE, rows)
      const right = Math.min(left + TILE, columns)
      for (let row = top; row < bottom; row++)
        for (let column = left; column < right; column++)
          result[column * rows + row] = values[row * columns + column]!
    }
  return result
}
