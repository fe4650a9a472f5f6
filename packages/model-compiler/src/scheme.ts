import { addsIn32Bits, type CpuClass } from '@sdcpu/diffusion'

/**
 * How a layer with weights computes, the cheapest first.
 * - `int8-static`: one product of 8-bit activations and 8-bit weights; the activations' scale is a constant, from
 *   what they were at most when the audit drew its prompts. For rows that come from a LayerNorm, which all have the same
 *   spread. The product's own kernel applies the scale and adds the bias
 * - `int8`: the same with a scale for each row or image, found each time; about 38 dB from exact on well-behaved values
 * - `int8x2`: a second product with what quantising the activations lost; outliers among them cost nothing then
 * - `int8x3`: a third one with what quantising the weights lost; 65 dB and more
 * - `fp32`
 */
export const SCHEMES = ['int8-static', 'int8', 'int8x2', 'int8x3', 'fp32'] as const
export type Scheme = (typeof SCHEMES)[number]

/**
 * Largest weight of an integer product. Where the CPU adds pairs of u8 × s8 products in 16 bits (`vpmaddubsw`: AVX2 and
 * AVX-512 without VNNI) two of them must stay below 2^15: 2 · 255 · 64 = 32640.
 */
export type WeightLimit = 64 | 127

/** How the layers of a graph compute. */
export type GraphPlan = {
  schemeOf(layer: string): Scheme
  /** The largest magnitude that a layer's activations are to hold, for `int8-static`: a number or a scalar of the graph. */
  rangeOf?(layer: string): number | string | undefined
  weightLimit: WeightLimit
  /** Layers are to be tried in each integer scheme: the graph hands out what they read and make. */
  probes?: boolean
  /** The graph hands out the ranges of layers that may become `int8-static`: those that read what a LayerNorm made. */
  ranges?: boolean
  /** The decoder works through its feature maps in strips. */
  strips?: boolean
}

export const INTEGER_SCHEMES = ['int8-static', 'int8', 'int8x2', 'int8x3'] as const satisfies Scheme[]
export type IntegerScheme = (typeof INTEGER_SCHEMES)[number]
/** Those that find the scale of what a layer reads each time. */
export type DynamicScheme = Exclude<IntegerScheme, 'int8-static'>

/** Every layer in float32: the reference. */
export const FP32_PLAN: GraphPlan = { schemeOf: () => 'fp32', weightLimit: 127 }

/** Layers that a plan treats otherwise than most. */
export type LayerChoices = {
  /** Those that do not compute as `int8`. */
  schemes: Record<string, Scheme>
  /** The range of each that computes as `int8-static`. */
  ranges: Record<string, number>
}

/** Every layer by one integer product whose scale is found each time, but for those that `choices` names. */
export function int8Plan(
  weightLimit: WeightLimit,
  { schemes, ranges }: LayerChoices = { schemes: {}, ranges: {} },
): GraphPlan {
  return {
    schemeOf: (layer) => schemes[layer] ?? 'int8',
    rangeOf: (layer) => ranges[layer],
    weightLimit,
    strips: true,
  }
}

/** The largest weight that the products of a CPU are exact with. */
export const weightLimitOf = (cpuClass: CpuClass): WeightLimit => (addsIn32Bits(cpuClass) ? 127 : 64)
