export type FloatType = 'F32' | 'F16' | 'BF16'

// A table of all 65536 halves is several times faster than decoding bit by bit, and 256 KiB.
let halves: Float32Array | undefined

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
  halves ??= buildHalves()
  for (let i = 0; i < words.length; i++) values[i] = halves[words[i]!]!
  return values
}

function buildHalves(): Float32Array {
  const table = new Float32Array(65536)
  for (let word = 0; word < 65536; word++) {
    const sign = word & 0x8000 ? -1 : 1
    const exponent = (word >> 10) & 31
    const fraction = word & 1023
    if (exponent === 31) table[word] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
    else if (exponent === 0) table[word] = sign * fraction * 2 ** -24
    else table[word] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
  }
  return table
}
