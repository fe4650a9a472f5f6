/** Shape of a batch of latents: torch keeps [batch, channels, height, width], our graphs [batch, height, width, channels]. */
export type LatentShape = { batch: number; channels: number; height: number; width: number }

/** [batch, channels, height, width] → [batch, height, width, channels]. */
export function toChannelsLast(values: Float32Array, shape: LatentShape): Float32Array {
  return transposeEach(values, shape.batch, shape.channels, shape.height * shape.width)
}

/** [batch, height, width, channels] → [batch, channels, height, width]. */
export function toChannelsFirst(values: Float32Array, shape: LatentShape): Float32Array {
  return transposeEach(values, shape.batch, shape.height * shape.width, shape.channels)
}

/** Transposes each of `count` matrices of [rows, columns]. */
function transposeEach(values: Float32Array, count: number, rows: number, columns: number): Float32Array {
  const size = rows * columns
  const result = new Float32Array(values.length)
  for (let matrix = 0; matrix < count; matrix++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++)
        result[matrix * size + column * rows + row] = values[matrix * size + row * columns + column]!
  return result
}
