export type FloatType = 'F32' | 'F16' | 'BF16'

/** Widens little-endian float16, bfloat16 or float32 bytes to float32; exact for every value. */
export function toFloat32(bytes: Buffer<ArrayBuffer>, type: FloatType): Float32Array<ArrayBuffer> {
  if (type === 'F32') return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
  const words = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2)
  const values = new Float32Array(words.length)
  if (type === 'BF16') {
    const bits = new Uint32Array(values.buffer)
    for (let i = 0; i < words.length; i++) bits[i] = words[i]! << 16
    return values
  }
  // One by one: made from a Float16Array at once, the values take twice as long.
  const halves = new Float16Array(words.buffer, words.byteOffset, words.length)
  for (let i = 0; i < halves.length; i++) values[i] = halves[i]!
  return values
}
