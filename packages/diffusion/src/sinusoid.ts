// Longest wavelength of the embedding, from "Attention Is All You Need".
const MAX_PERIOD = 10_000

/**
 * Sinusoidal embedding of numbers, in float32: [values, dim], sines then cosines, or the other way round when flipped.
 * Source: diffusers `get_timestep_embedding` (models/embeddings.py).
 */
export function embedSinusoid(
  values: readonly number[],
  dim: number,
  { flipSinToCos, freqShift }: { flipSinToCos: boolean; freqShift: number },
): Float32Array {
  const half = Math.floor(dim / 2)
  const frequencies = Float32Array.from({ length: half }, (_, i) =>
    Math.exp(Math.fround(Math.fround(-Math.log(MAX_PERIOD) * i) / (half - freqShift))),
  )
  const embedding = new Float32Array(values.length * dim) // an odd last column stays 0
  const [sines, cosines] = flipSinToCos ? [half, 0] : [0, half]
  values.forEach((value, row) => {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(value * frequencies[i]!)
      embedding[row * dim + sines + i] = Math.sin(angle)
      embedding[row * dim + cosines + i] = Math.cos(angle)
    }
  })
  return embedding
}
