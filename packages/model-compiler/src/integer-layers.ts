import type { GatherSource } from './gather-index.ts'
import type { GraphCore } from './graph.ts'
import { quantisedNames } from './quantise-weights.ts'
import type { DynamicScheme, IntegerScheme, WeightLimit } from './scheme.ts'

/** 8-bit values that stand for `factor · (values - zeroPoint)`. */
type Term = { values: string; zeroPoint: number; factor: number }

/** Activations as whole numbers: `x ≈ scale · Σ terms`. */
type Quantised = { terms: Term[]; scale: string }

const MICROSOFT = 'com.microsoft'
const U8_MIDDLE = 128
const LIMIT = 127
// Below this a map or a row is as good as zero; a scale of 0 would divide by it.
const LEAST_SCALE = 1e-30
// SiLU never goes below -0.2785, so this zero point reaches it whenever the scale is at least LOWEST / SILU_ZERO.
const SILU_LOWEST = 0.2785
const SILU_ZERO = 22

/**
 * Layers as integer products (`MatMulIntegerToFloat`, u8 activations and s8 weights). An activation's scale belongs to
 * its row, or to its image for convolutions, never to the batch: a picture must not depend on its batch mates.
 * @param oneImage the graph is run for one image at a time, so that a map's scale is one number and the product's own
 *   kernel can apply it and add the bias
 */
export function createIntegerLayers(
  core: GraphCore,
  { weightLimit, oneImage }: { weightLimit: WeightLimit; oneImage: boolean },
) {
  const { node, int, ints, scalar, bytes, joined, shapeOf, rowsOf } = core
  const known = new Map<string, Quantised>()
  const zeros = new Map<string, string>()

  /** What is quantised once serves every layer that reads it: q, k and v, and both halves of a GEGLU. */
  function once(key: string, make: () => Quantised): Quantised {
    const found = known.get(key) ?? make()
    known.set(key, found)
    return found
  }

  /** The largest magnitude of each row, or `least` where that is more. */
  const largest = (x: string, least = 0) =>
    node('Max', [
      node('ReduceMax', [x, ints(-1)]),
      node('Neg', [node('ReduceMin', [x, ints(-1)])]),
      ...(least > 0 ? [scalar(least)] : []),
    ])

  /** Values of `zeroPoint`, as many as `scale` has. Those of the rows that `of` has are made once: opening a graph takes long for each node. */
  function zerosLike(scale: string, zeroPoint: number, of = scale): string {
    const key = `${zeroPoint} ${of}`
    const found =
      zeros.get(key) ?? node('Expand', [bytes(`uint8[${zeroPoint}]`, [1], [zeroPoint]), shapeOf(scale)])
    zeros.set(key, found)
    return found
  }

  const atLeast = (x: string, least: number) => node('Max', [x, scalar(least)])
  const isTwoTerm = (scheme: IntegerScheme) => scheme === 'int8x2' || scheme === 'int8x3'

  /** Each row by its own largest magnitude. `width` is the length of a row. */
  function quantiseRows(x: string, width: number, twoTerms: boolean): Quantised {
    return once(`rows ${x} ${twoTerms}`, () => {
      const scale = node('Mul', [largest(x, LIMIT * LEAST_SCALE), scalar(1 / LIMIT)])
      if (twoTerms) return { terms: splitTerms(node('Div', [x, scale]), U8_MIDDLE), scale }
      // One block a row: its scale is applied, rounded and shifted in one pass.
      const values = node('QuantizeLinear', [x, scale, zerosLike(scale, U8_MIDDLE, rowsOf(x))], {
        attributes: { axis: { int: -1 }, block_size: { int: width } },
      })
      return { terms: [{ values, zeroPoint: U8_MIDDLE, factor: 1 }], scale }
    })
  }

  /**
   * Each NHWC map by its own range. Maps behind a SiLU are one-sided, which the zero point uses.
   * The largest is found along channels first, because a reduction to one number runs on one thread.
   */
  function quantiseMaps(x: string, activated: boolean, twoTerms: boolean): Quantised {
    return once(`maps ${x} ${activated} ${twoTerms}`, () => {
      const perPixel = activated ? node('ReduceMax', [x, ints(-1)]) : largest(x)
      const most = node('ReduceMax', [perPixel, ints(1, 2)])
      const zeroPoint = activated ? SILU_ZERO : U8_MIDDLE
      const reach = 255 - zeroPoint
      const least = activated ? SILU_LOWEST / SILU_ZERO : LEAST_SCALE
      const scale = atLeast(node('Mul', [most, scalar(1 / reach)]), least)
      if (twoTerms) return { terms: splitTerms(node('Div', [x, scale]), zeroPoint), scale }
      const perImage = node('Reshape', [scale, ints(-1)])
      const values = node('QuantizeLinear', [x, perImage, zerosLike(perImage, zeroPoint)], {
        attributes: { axis: { int: 0 } },
      })
      return { terms: [{ values, zeroPoint, factor: 1 }], scale }
    })
  }

  /** Whole numbers, and what rounding lost as another 8-bit number. */
  function splitTerms(units: string, zeroPoint: number): Term[] {
    const whole = node('Round', [units])
    const lost = node('Mul', [node('Sub', [units, whole]), scalar(2 * LIMIT)])
    return [
      { values: toBytes(whole, zeroPoint), zeroPoint, factor: 1 },
      { values: toBytes(lost, U8_MIDDLE), zeroPoint: U8_MIDDLE, factor: 1 / (2 * LIMIT) },
    ]
  }

  function toBytes(x: string, zeroPoint: number, scale = scalar(1)): string {
    return node('QuantizeLinear', [x, scale, bytes(`uint8(${zeroPoint})`, [], [zeroPoint])])
  }

  /** Σ terms · weights in units of the activations' scale, or times `scale` and plus `bias` where they are given. */
  function product(
    terms: Term[],
    weight: string,
    scheme: IntegerScheme,
    { scale, bias }: { scale?: string; bias?: string } = {},
  ): string {
    const names = quantisedNames(weight)
    const [first, second] = terms
    const multiply = ({ values, zeroPoint, factor }: Term, matrix: string, offset?: string) =>
      node(
        'MatMulIntegerToFloat',
        [
          values,
          matrix,
          scale && factor !== 1 ? node('Mul', [scale, scalar(factor)]) : (scale ?? scalar(factor)),
          names.scale,
          bytes(`uint8(${zeroPoint})`, [], [zeroPoint]),
          ...(offset ? ['', offset] : []),
        ],
        { domain: MICROSOFT },
      )
    let sum = multiply(first!, names.high, bias)
    if (isTwoTerm(scheme)) sum = node('Add', [sum, multiply(second!, names.high)])
    if (scheme === 'int8x3')
      sum = node('Add', [sum, multiply({ ...first!, factor: first!.factor / (2 * weightLimit) }, names.rest)])
    return sum
  }

  /** `x · W` of rows; `weight` is a quantised weight of [width, outputs]. */
  function linear(x: string, weight: string, scheme: DynamicScheme, { width }: { width: number }): string {
    const { terms, scale } = quantiseRows(x, width, isTwoTerm(scheme))
    return node('Mul', [product(terms, weight, scheme), scale])
  }

  /**
   * `x · W`, plus `bias` where given, of rows that share one scale: `range`, a number or a scalar of the graph, is the largest
   * magnitude they hold, and what is beyond is cut off. The product's own kernel applies the scale and adds the bias.
   */
  function staticLinear(
    x: string,
    weight: string,
    { range, bias }: { range: number | string; bias?: string },
  ): string {
    const { terms, scale } = once(`range ${x} ${range}`, () => {
      const scale =
        typeof range === 'number'
          ? scalar(Math.max(range / LIMIT, LEAST_SCALE))
          : atLeast(node('Mul', [range, scalar(1 / LIMIT)]), LEAST_SCALE)
      return { terms: [{ values: toBytes(x, U8_MIDDLE, scale), zeroPoint: U8_MIDDLE, factor: 1 }], scale }
    })
    return product(terms, weight, 'int8-static', { scale, bias })
  }

  /** 3x3 convolution of an NHWC map as a product of gathered neighbourhoods, `bias` included. */
  function conv3x3(
    x: string,
    weight: string,
    scheme: DynamicScheme,
    {
      channels,
      activated,
      bias,
      source,
    }: { channels: number; activated: boolean; bias: string; source: GatherSource },
  ): string {
    const { terms, scale } = quantiseMaps(x, activated, isTwoTerm(scheme))
    const single = oneImage ? node('Reshape', [scale, ints()]) : undefined
    const gathered = terms.map((term) => {
      const pixels = withBorderRow(term, channels)
      const neighbours = node('Gather', [pixels, source.index], { attributes: { axis: { int: 1 } } })
      return { ...term, values: node('Reshape', [neighbours, ints(0, -1, 9 * channels)]) }
    })
    const rows = product(gathered, weight, scheme, single ? { scale: single, bias } : {})
    const map = node('Reshape', [rows, source.outputShape])
    return single ? map : node('Add', [node('Mul', [map, scale]), bias])
  }

  /**
   * Some rows of a map by a scale of their own. `parts` are pixels [count, channels], one behind the other; a pixel of zeros
   * comes last, for what lies beyond the border.
   */
  function quantiseStrip(
    parts: string[],
    { channels, activated, twoTerms }: { channels: number; activated: boolean; twoTerms: boolean },
  ): Quantised {
    const overAll = (x: string) => node('ReduceMax', [x], { attributes: { keepdims: { int: 0 } } })
    const most = parts.map((x) => overAll(activated ? node('ReduceMax', [x, ints(-1)]) : largest(x)))
    const zeroPoint = activated ? SILU_ZERO : U8_MIDDLE
    const least = activated ? SILU_LOWEST / SILU_ZERO : LEAST_SCALE
    const scale = atLeast(node('Mul', [node('Max', most), scalar(1 / (255 - zeroPoint))]), least)
    const terms = parts.map((x): Term[] =>
      twoTerms
        ? splitTerms(node('Div', [x, scale]), zeroPoint)
        : [{ values: toBytes(x, zeroPoint, scale), zeroPoint, factor: 1 }],
    )
    const whole = terms[0]!.map((term, i) => {
      const border = bytes(
        `uint8 ${term.zeroPoint} x ${channels}`,
        [1, channels],
        Array(channels).fill(term.zeroPoint),
      )
      const values = joined([...terms.map((part) => part[i]!.values), border])
      return { ...term, values }
    })
    return { terms: whole, scale }
  }

  /** Neighbourhoods as rows: `index` [outputs, taps] says where among the pixels each output finds its own. */
  function gatherPixels(
    terms: Term[],
    index: string,
    { channels, taps }: { channels: number; taps: number },
  ): Term[] {
    return terms.map((term) => {
      const neighbours = node('Gather', [term.values, index], { attributes: { axis: { int: 0 } } })
      return { ...term, values: node('Reshape', [neighbours, ints(-1, taps * channels)]) }
    })
  }

  /**
   * The convolution of some rows of a map, `parts` as `quantiseStrip` takes them. `index` [outputs, 9] says where each
   * pixel of the output finds its nine; the number of all pixels stands for what lies beyond the border.
   */
  function conv3x3OfRows(
    parts: string[],
    weight: string,
    scheme: DynamicScheme,
    {
      channels,
      activated,
      bias,
      index,
    }: { channels: number; activated: boolean; bias: string; index: string },
  ): string {
    const { terms, scale } = quantiseStrip(parts, { channels, activated, twoTerms: isTwoTerm(scheme) })
    return product(gatherPixels(terms, index, { channels, taps: 9 }), weight, scheme, { scale, bias })
  }

  /**
   * The convolution of rows of a map that is first doubled by repeating pixels. Of a pixel's nine neighbours there some
   * are the same pixel of the small map, so that each of four phases (even and odd rows and columns) is a 2x2 convolution
   * of the small map: 16 products instead of 36 a small pixel (Shi et al., https://arxiv.org/abs/1609.07009, read backwards).
   * @param weights of each phase, as `sumTaps` makes them
   * @param options.index [phases, pixels of the small map, 4]
   * @returns the pixels of each phase
   */
  function doublingConvOfRows(
    parts: string[],
    weights: string[],
    scheme: DynamicScheme,
    { channels, bias, index }: { channels: number; bias: string; index: string },
  ): string[] {
    const { terms, scale } = quantiseStrip(parts, {
      channels,
      activated: false,
      twoTerms: isTwoTerm(scheme),
    })
    return weights.map((weight, phase) => {
      const own = node('Gather', [index, int(phase)], { attributes: { axis: { int: 0 } } })
      return product(gatherPixels(terms, own, { channels, taps: 4 }), weight, scheme, { scale, bias })
    })
  }

  /** `linear` of rows that lie in `parts`, one behind the other, in another `order`. */
  function linearOfRows(
    parts: string[],
    weight: string,
    scheme: DynamicScheme,
    { width, order }: { width: number; order: string },
  ): string {
    const quantised = parts.map((x) => quantiseRows(x, width, isTwoTerm(scheme)))
    const inOrder = (rows: string[]) =>
      node('Gather', [joined(rows), order], { attributes: { axis: { int: 0 } } })
    const terms = quantised[0]!.terms.map((term, i) => ({
      ...term,
      values: inOrder(quantised.map((part) => part.terms[i]!.values)),
    }))
    return node('Mul', [product(terms, weight, scheme), inOrder(quantised.map(({ scale }) => scale))])
  }

  /** Pixels as rows, and one more row of zeros for what lies beyond the border. */
  function withBorderRow({ values, zeroPoint }: Term, channels: number): string {
    return node('Pad', [
      node('Reshape', [values, ints(0, -1, channels)]),
      ints(0, 0, 0, 0, 1, 0),
      bytes(`uint8(${zeroPoint})`, [], [zeroPoint]),
    ])
  }

  return { largest, linear, staticLinear, conv3x3, conv3x3OfRows, doublingConvOfRows, linearOfRows }
}
