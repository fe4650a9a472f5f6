const SIZE = 624
const SHIFT = 397

/**
 * Creates MT19937, the 32-bit Mersenne Twister behind torch's CPU generator; each call yields the next uint32.
 * Only the low 32 bits of `seed` count, as in torch.
 * Source: Matsumoto and Nishimura, "Mersenne Twister" (1998), with the 2002 seeding of `init_genrand`.
 * @throws when `seed` is negative or no whole number
 */
export function createMersenneTwister(seed: number): () => number {
  const state = new Uint32Array(SIZE)
  state[0] = lowBits(seed)
  for (let i = 1; i < SIZE; i++) {
    const previous = state[i - 1]!
    state[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i
  }
  let next = SIZE

  return () => {
    if (next === SIZE) {
      twist(state)
      next = 0
    }
    return temper(state[next++]!)
  }
}

function lowBits(seed: number): number {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`seed is ${seed}; it must be a whole number, 0 or more`)
  }
  return seed % 2 ** 32
}

function twist(state: Uint32Array): void {
  for (let i = 0; i < SIZE; i++) {
    const joined = (state[i]! & 0x80000000) | (state[(i + 1) % SIZE]! & 0x7fffffff)
    state[i] = state[(i + SHIFT) % SIZE]! ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0)
  }
}

function temper(value: number): number {
  let y = value
  y ^= y >>> 11
  y ^= (y << 7) & 0x9d2c5680
  y ^= (y << 15) & 0xefc60000
  return (y ^ (y >>> 18)) >>> 0
}
