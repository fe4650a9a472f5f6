/** Deterministic, roughly Gaussian values. */
export function randomValues(count: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  return Float32Array.from({ length: count }, () => uniform() + uniform() + uniform() + uniform() - 2)
}

/** How far values are from exact ones, in dB. @throws where there are not as many */
export function signalToNoise(exact: Float32Array, other: Float32Array): number {
  if (other.length !== exact.length) throw new Error(`${other.length} values; ${exact.length} are expected`)
  let signal = 0
  let noise = 0
  exact.forEach((value, i) => {
    signal += value ** 2
    noise += (value - other[i]!) ** 2
  })
  return 10 * Math.log10(signal / noise)
}
