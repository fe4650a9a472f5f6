import { addsIn32Bits, type CpuClass } from '@sdcpu/diffusion'

/**
 * How a layer with weights computes, the cheapest first.
 * - `int8`: one product of 8-bit activations and 8-bit weights; about 38 dB from exact on well-behaved values
 * - `int8x2`: a second product with what quantising the activations lost; outliers among them cost nothing then
 * - `int8x3`: a third one with what quantising the weights lost; 65 dB and more
 * - `fp32`
 */
export const SCHEMES = ['int8', 'int8x2', 'int8x3', 'fp32'] as const
export type Scheme = (typeof SCHEMES)[number]

/**
 * Largest weight of an integer product. Where the CPU adds pairs of u8 × s8 products in 16 bits (`vpmaddubsw`: AVX2 and
 * AVX-512 without VNNI) two of them must stay below 2^15: 2 · 255 · 64 = 32640.
 */
export type WeightLimit = 64 | 127

/** How the layers of a graph compute. */
export type GraphPlan = {
  schemeOf(layer: string): Scheme
  weightLimit: WeightLimit
  /** Layers are to be tried in each integer scheme: the graph hands out what they read and make. */
  probes?: boolean
  /** The decoder works through its feature maps in strips. */
  strips?: boolean
}

export const INTEGER_SCHEMES = ['int8', 'int8x2', 'int8x3'] as const satisfies Scheme[]
export type IntegerScheme = (typeof INTEGER_SCHEMES)[number]

/** Every layer in float32: the reference. */
export const FP32_PLAN: GraphPlan = { schemeOf: () => 'fp32', weightLimit: 127 }

/** Every layer by one integer product, but for those named in `finer`. */
export function int8Plan(weightLimit: WeightLimit, finer: Record<string, Scheme> = {}): GraphPlan {
  return { schemeOf: (layer) => finer[layer] ?? 'int8', weightLimit, strips: true }
}

/** The largest weight that the products of a CPU are exact with. */
export const weightLimitOf = (cpuClass: CpuClass): WeightLimit => (addsIn32Bits(cpuClass) ? 127 : 64)
