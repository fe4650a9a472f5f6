import { CompileError } from './compile-error.ts'
import { createGatherIndex, type MapSize } from './gather-index.ts'
import { createIntegerLayers } from './integer-layers.ts'
import type { Attribute, DataType, Dimensions, OnnxGraph, OnnxInitializer } from './onnx.ts'
import { PHASES } from './quantise-weights.ts'
import {
  type DynamicScheme,
  FP32_PLAN,
  type GraphPlan,
  INTEGER_SCHEMES,
  type IntegerScheme,
  type Scheme,
  type WeightLimit,
} from './scheme.ts'

/** How a source tensor is laid out in the weight pack. */
export type WeightRef = {
  /** Name in the source file. */
  source: string
  /** Rows of the source's first axis to take; all when absent. */
  rows?: [number, number]
  /** Of 3x3 kernels, quantised: what this phase of a doubled map sees (`sumTaps`). */
  phase?: number
  /** Stored as [columns, rows]: torch's linear weights are [out, in], a product needs [in, out]. */
  transpose?: boolean
}

/** A weight the graph uses: an entry of the segment's pack, written after the graph is built. */
export type PlannedWeight = WeightRef & {
  name: string
  /** Of the stored tensor; of a quantised one [inputs, outputs]. */
  dims: number[]
  /** Stored as whole numbers within ±limit and a scale an output, with `rest` also what that loses. */
  quantised?: { limit: WeightLimit; rest: boolean }
}

/** A layer whose scheme a plan decides. */
export type PlannedLayer = { name: string; scheme: Scheme }

/**
 * A float32 layer that is to be tried in whole numbers: the outputs of its graph that hold what it reads and makes, and a
 * graph `x`, `exact` → `energies`: that of `exact`, and of the error of each of `schemes`. Where `int8-static` is one of them
 * the graph also takes `range`, the largest magnitude that activations are to hold.
 */
export type Probe = { layer: string; x: string; exact: string; schemes: IntegerScheme[]; compare: Graph }

/** An output [batch] that holds the largest magnitude that a layer reads of each image, before it is planned as `int8-static`. */
export type Range = { layer: string; output: string }

export type Graph = OnnxGraph & {
  weights: PlannedWeight[]
  layers: PlannedLayer[]
  probes: Probe[]
  ranges: Range[]
}

type ConvOptions = {
  stride?: number
  /** Top, left, bottom, right. */
  pads?: number[]
  bias?: boolean
}

type NodeOptions = { attributes?: Record<string, Attribute>; domain?: string }

const MICROSOFT = 'com.microsoft'

/**
 * Builds one ONNX graph over the weights of one model part.
 * Feature maps are [batch, height, width, channels] (NHWC) and token rows [batch, tokens, channels]; both are the same
 * bytes, so going from one to the other copies nothing. Batch, height and width stay free.
 */
export type GraphBuilder = ReturnType<typeof createGraphBuilder>

/** The part of the builder that layers of whole numbers are made of. */
export type GraphCore = {
  node(op: string, inputs: string[], options?: NodeOptions): string
  ints(...values: number[]): string
  int(value: number): string
  int64s(key: string, values: number[]): string
  scalar(value: number): string
  bytes(key: string, dims: number[], values: number[]): string
  /** One behind the other along the first axis. */
  joined(parts: string[]): string
  shapeOf(x: string): string
  /** Says how many rows `x` has: equal for tensors known to have as many, in the same dimensions. */
  rowsOf(x: string): string
}

type BuilderOptions = {
  plan?: GraphPlan
  /** The graph is run for one image at a time. */
  oneImage?: boolean
}

type LayerOptions = {
  /** Computes in float32 whatever the plan says: what is small, or at the edge of the network. */
  precise?: boolean
}

export function createGraphBuilder(
  name: string,
  weightsOf: { shapeOf(name: string): number[] | undefined; labelOf(name: string): string },
  { plan = FP32_PLAN, oneImage = false }: BuilderOptions = {},
) {
  const graph: Graph = {
    name,
    nodes: [],
    initializers: [],
    inputs: [],
    outputs: [],
    weights: [],
    layers: [],
    probes: [],
    ranges: [],
  }
  const constants = new Set<string>()
  const shapes = new Map<string, string>()
  const sizes = new Map<string, MapSize>()
  /** Maps that are as high and wide as an earlier one, by name. */
  const origins = new Map<string, string>()
  /** What says how many rows a tensor has, by name. */
  const rows = new Map<string, string>()
  /** What a LayerNorm made. */
  const normedRows = new Set<string>()
  const pixelSumsOf = new Map<string, { ones: string; count: string }>()
  const core: GraphCore = { node, ints, int, int64s, scalar, bytes, joined, shapeOf, rowsOf }
  const integer = createIntegerLayers(core, { weightLimit: plan.weightLimit, oneImage })
  const gatherIndex = createGatherIndex(core)
  let path = ''
  let count = 0
  /** Where nodes go: to the graph, or to the body of an operator that runs one for each slice. */
  let nodes = graph.nodes

  function node(op: string, inputs: string[], { attributes = {}, domain = '' }: NodeOptions = {}): string {
    const id = `${path}${path && '/'}${op}_${count++}`
    nodes.push({ op, domain, name: id, inputs, outputs: [id], attributes })
    return id
  }

  function constant(key: string, type: DataType, dims: number[], data: Uint8Array): string {
    if (!constants.has(key)) {
      constants.add(key)
      graph.initializers.push({ name: key, type, dims, data } satisfies OnnxInitializer)
    }
    return key
  }

  function floats(key: string, dims: number[], values: number[] | Float32Array): string {
    const data = values instanceof Float32Array ? values : Float32Array.from(values)
    return constant(key, 'float32', dims, new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  }

  function bytes(key: string, dims: number[], values: number[]): string {
    return constant(key, 'uint8', dims, Uint8Array.from(values))
  }

  function int64s(key: string, values: number[]): string {
    const data = BigInt64Array.from(values.map(BigInt))
    return constant(key, 'int64', [values.length], new Uint8Array(data.buffer))
  }

  function ints(...values: number[]): string {
    return int64s(`int64[${values}]`, values)
  }

  function int32s(...values: number[]): string {
    const data = Int32Array.from(values)
    return constant(`int32[${values}]`, 'int32', [values.length], new Uint8Array(data.buffer))
  }

  /** `height` rows of zeros. */
  function zeros(height: number, width: number): string {
    return floats(`zeros ${height} x ${width}`, [height, width], new Float32Array(height * width))
  }

  function scalar(value: number): string {
    return floats(`float32(${value})`, [], [value])
  }

  /** @throws CompileError where the source's tensor is missing or has another shape */
  function checkShape(ref: WeightRef, expected: number[]): void {
    const found = weightsOf.shapeOf(ref.source)
    const label = weightsOf.labelOf(ref.source)
    if (!found)
      throw new CompileError(
        `${label}: tensor ${ref.source} is missing; a shape of [${expected}] is expected`,
      )
    // A 1x1 convolution is a linear layer: [out, in, 1, 1] holds the same values as [out, in].
    const trimmed =
      expected.length === 2 && found.length === 4 && found[2] === 1 && found[3] === 1
        ? found.slice(0, 2)
        : found
    if (trimmed.length !== expected.length || trimmed.some((size, i) => size !== expected[i]))
      throw new CompileError(`${label}: tensor ${ref.source} has shape [${found}]; [${expected}] is expected`)
  }

  /** Declares a weight whose shape in the source must be `expected`, and gives its name in the graph. */
  function weight(ref: WeightRef, expected: number[]): string {
    checkShape(ref, expected)
    const rows = ref.rows ? ref.rows[1] - ref.rows[0] : expected[0]!
    const dims = ref.transpose ? [expected[1]!, rows] : [rows, ...expected.slice(1)]
    const id = ref.rows ? `${ref.source}[${ref.rows}]` : ref.source
    if (!constants.has(id)) {
      constants.add(id)
      graph.weights.push({ ...ref, name: id, dims })
    }
    return id
  }

  const has = (source: string) => weightsOf.shapeOf(source) !== undefined

  /** Declares the matrix [taps · inputs, outputs] of an integer product, with its rest where the scheme needs it. */
  function quantisedWeight(ref: WeightRef, expected: number[], scheme: Scheme): string {
    checkShape(ref, expected)
    const outputs = ref.rows ? ref.rows[1] - ref.rows[0] : expected[0]!
    const values = expected.slice(1).reduce((a, b) => a * b, 1)
    const inputs = ref.phase === undefined ? values : (values / 9) * 4
    const part = ref.rows ? `[${ref.rows}]` : ref.phase === undefined ? '' : ` phase ${ref.phase}`
    const id = `${ref.source}${part} int8`
    const rest = scheme === 'int8x3'
    const declared = graph.weights.find((weight) => weight.name === id)
    if (declared?.quantised) declared.quantised.rest ||= rest
    else
      graph.weights.push({
        ...ref,
        name: id,
        dims: [inputs, outputs],
        quantised: { limit: plan.weightLimit, rest },
      })
    return id
  }

  /** The scheme that the plan has for a layer, which is put on record. */
  function schemeOf(layer: string, { precise }: LayerOptions): Scheme {
    if (precise) return 'fp32'
    const scheme = plan.schemeOf(layer)
    if (!graph.layers.some(({ name }) => name === layer)) graph.layers.push({ name: layer, scheme })
    return scheme
  }

  /** `x · Wᵀ + b` for torch's `Linear(inputs, outputs)` (or a 1x1 convolution) called `source`, or for some rows of W. */
  function linear(
    x: string,
    source: string,
    [inputs, outputs]: [number, number],
    { bias = true, rows, precise }: { bias?: boolean; rows?: [number, number] } & LayerOptions = {},
  ): string {
    const scheme = schemeOf(source, { precise })
    const matrix = { source: `${source}.weight`, rows }
    const shape = [outputs, inputs]
    const offset = bias ? weight({ source: `${source}.bias`, rows }, [outputs]) : undefined
    if (scheme === 'int8-static') {
      const range = rangeOf(source)
      const y = integer.staticLinear(x, quantisedWeight(matrix, shape, scheme), { range, bias: offset })
      return sameSize(sameRows(y, x), x)
    }
    const product =
      scheme === 'fp32'
        ? node('MatMul', [x, weight({ ...matrix, transpose: true }, shape)])
        : integer.linear(x, quantisedWeight(matrix, shape, scheme), scheme, { width: inputs })
    if (!precise) {
      const range = plan.ranges && normedRows.has(x) ? handOutRange(source, x) : undefined
      probe(source, { x, exact: product, range }, (g, from) =>
        g.linear(from, source, [inputs, outputs], { bias: false, rows }),
      )
    }
    const y = offset ? node('Add', [product, offset]) : product
    return sameSize(sameRows(y, x), x)
  }

  function rangeOf(layer: string): number | string {
    const range = plan.rangeOf?.(layer)
    if (range === undefined)
      throw new Error(`${layer} is planned as int8-static without a range. This is a bug.`)
    return range
  }

  /**
   * 3x3 convolution of an NHWC map, by default padded by 1 on each side, plus `plus` [batch, 1, 1, outputs] where given.
   * `activated` says that `x` comes from a SiLU. With `enlargedTo`, a map, `x` is first enlarged to that map's size, at
   * most twice its own, by repeating pixels. Other paddings and convolutions without a bias stay in float32.
   */
  function conv3x3(
    x: string,
    source: string,
    [inputs, outputs]: [number, number],
    {
      stride = 1,
      pads,
      bias: hasBias = true,
      activated = false,
      plus,
      enlargedTo,
      precise = pads !== undefined || !hasBias,
    }: ConvOptions & {
      activated?: boolean
      plus?: string
      enlargedTo?: MapSize
    } & LayerOptions = {},
  ): string {
    const scheme = schemeOf(source, { precise })
    const kernel = { source: `${source}.weight` }
    const shape = [outputs, inputs, 3, 3]
    const biasOf = () => weight({ source: `${source}.bias` }, [outputs])
    const integerConvolution = (way: DynamicScheme) => {
      const gather = gatherIndex(sizeOf(x), { stride, outputs, enlargedTo })
      const y = integer.conv3x3(x, quantisedWeight(kernel, shape, way), way, {
        channels: inputs,
        activated,
        bias: plus ? add(plus, biasOf()) : biasOf(),
        source: gather,
      })
      sizes.set(y, gather.size)
      return y
    }
    if (scheme !== 'fp32') return integerConvolution(dynamic(source, scheme))
    const map = enlargedTo ? repeatTo(x, enlargedTo) : x
    const convolved = floatConv3x3(map, weight(kernel, shape), hasBias ? biasOf() : undefined, {
      stride,
      pads,
    })
    if (!precise)
      probe(source, { x, exact: convolved }, (g, from, exact) =>
        g.conv3x3(from, source, [inputs, outputs], {
          stride,
          activated,
          ...(enlargedTo && { enlargedTo: g.sizeOf(exact) }),
        }),
      )
    return plus ? add(convolved, plus) : convolved
  }

  /** Whether the plan computes a layer in float32. */
  const isFloat = (layer: string) => plan.schemeOf(layer) === 'fp32'

  /**
   * 3x3 convolution of some rows of a map in whole numbers: of `parts` [pixels, inputs], one behind the other. `index`
   * [pixels of the result, 9] says where each finds its nine; the number of all pixels stands for the border.
   */
  function conv3x3OfRows(
    parts: string[],
    source: string,
    [inputs, outputs]: [number, number],
    { activated, index }: { activated: boolean; index: string },
  ): string {
    const scheme = integerSchemeOf(source)
    const kernel = quantisedWeight({ source: `${source}.weight` }, [outputs, inputs, 3, 3], scheme)
    const bias = weight({ source: `${source}.bias` }, [outputs])
    return integer.conv3x3OfRows(parts, kernel, scheme, { channels: inputs, activated, bias, index })
  }

  /**
   * The same of a map that is doubled first, by repeating pixels: gives the result's pixels of even rows and even columns,
   * of even rows and odd columns, and so on. `index` [4, pixels of the small map, 4] says where each finds its four.
   */
  function doublingConvOfRows(parts: string[], source: string, width: number, index: string): string[] {
    const scheme = integerSchemeOf(source)
    const kernels = Array.from({ length: PHASES }, (_, phase) =>
      quantisedWeight({ source: `${source}.weight`, phase }, [width, width, 3, 3], scheme),
    )
    const bias = weight({ source: `${source}.bias` }, [width])
    return integer.doublingConvOfRows(parts, kernels, scheme, { channels: width, bias, index })
  }

  /** `linear` in whole numbers of rows that lie in `parts`, one behind the other, in another `order`. */
  function linearOfRows(
    parts: string[],
    source: string,
    [inputs, outputs]: [number, number],
    order: string,
  ): string {
    const scheme = integerSchemeOf(source)
    const matrix = quantisedWeight({ source: `${source}.weight` }, [outputs, inputs], scheme)
    const product = integer.linearOfRows(parts, matrix, scheme, { width: inputs, order })
    return node('Add', [product, weight({ source: `${source}.bias` }, [outputs])])
  }

  function integerSchemeOf(layer: string): DynamicScheme {
    const scheme = schemeOf(layer, {})
    if (scheme === 'fp32') throw new Error(`${layer} is planned as float32. This is a bug.`)
    return dynamic(layer, scheme)
  }

  function dynamic(layer: string, scheme: IntegerScheme): DynamicScheme {
    if (scheme === 'int8-static')
      throw new Error(`${layer} is planned as int8-static, which is for rows of a LayerNorm. This is a bug.`)
    return scheme
  }

  /** Puts on record that a layer is to be tried in whole numbers, where the plan asks for it. */
  function probe(
    layer: string,
    { range, ...taps }: { x: string; exact: string; range?: string },
    build: (g: GraphBuilder, x: string, exact: string) => string,
  ): void {
    if (!plan.probes) return
    // A graph of its own for each layer: the time ONNX Runtime takes to open one grows faster than its nodes.
    let scheme: Scheme = 'int8'
    const g: GraphBuilder = createGraphBuilder(`${name}.probe.${graph.probes.length}`, weightsOf, {
      plan: { schemeOf: () => scheme, rangeOf: () => 'range', weightLimit: plan.weightLimit },
      oneImage,
    })
    const [x, exact] = [g.input('x'), g.input('exact')]
    if (range) g.input('range', [])
    const schemes = INTEGER_SCHEMES.filter((each) => range || each !== 'int8-static')
    const errors = schemes.map((each) => {
      scheme = each
      return g.node('Sub', [exact, build(g, x, exact)])
    })
    const energies = [exact, ...errors].map((value) =>
      g.reshape(g.node('ReduceSumSquare', [value]), g.ints(1)),
    )
    g.output('energies', g.joined(energies), [energies.length])
    graph.probes.push({ layer, x: tap(taps.x), exact: tap(taps.exact), schemes, compare: g.graph })
  }

  /** An output [batch] that holds the largest magnitude that a layer reads of each image. */
  function handOutRange(layer: string, x: string): string {
    const outputName = `range ${x}`
    if (!graph.outputs.some((made) => made.name === outputName)) {
      const ofRows = reshape(integer.largest(x), ints(0, -1))
      output(outputName, node('ReduceMax', [ofRows, ints(1)], { attributes: { keepdims: { int: 0 } } }))
    }
    graph.ranges.push({ layer, output: outputName })
    return outputName
  }

  /** An output that holds `value`. */
  function tap(value: string): string {
    const outputName = `tap ${value}`
    if (!graph.outputs.some((made) => made.name === outputName)) output(outputName, value)
    return outputName
  }

  /**
   * Runs as Transpose, Conv, Transpose; ONNX Runtime's layout optimiser merges the transposes into the blocked layout
   * its own convolution kernel reads and writes.
   */
  function floatConv3x3(
    x: string,
    kernel: string,
    bias: string | undefined,
    { stride, pads = [1, 1, 1, 1] }: { stride: number; pads: number[] | undefined },
  ): string {
    const nchw = node('Transpose', [x], { attributes: { perm: { ints: [0, 3, 1, 2] } } })
    const y = node('Conv', [nchw, kernel, ...(bias ? [bias] : [])], {
      attributes: {
        kernel_shape: { ints: [3, 3] },
        pads: { ints: pads },
        strides: { ints: [stride, stride] },
      },
    })
    const nhwc = node('Transpose', [y], { attributes: { perm: { ints: [0, 2, 3, 1] } } })
    return stride === 1 && pads.every((pad) => pad === 1) ? sameSize(nhwc, x) : nhwc
  }

  const silu = (x: string) => quickGelu(x, 1)

  /** `x · sigmoid(alpha · x)`: SiLU at 1, CLIP's "quick_gelu" at 1.702. */
  function quickGelu(x: string, alpha: number): string {
    return sameRows(node('QuickGelu', [x], { domain: MICROSOFT, attributes: { alpha: { float: alpha } } }), x)
  }

  const gelu = (x: string) => sameRows(node('Gelu', [x], { domain: MICROSOFT }), x)
  const multiply = (a: string, b: string) => sameRows(node('Mul', [a, b]), a)

  function add(a: string, b: string): string {
    const sum = sameRows(node('Add', [a, b]), a)
    return sameSize(sum, origins.has(a) || sizes.has(a) ? a : b)
  }

  function layerNorm(x: string, source: string, channels: number, epsilon = 1e-5): string {
    const normed = node(
      'LayerNormalization',
      [
        x,
        weight({ source: `${source}.weight` }, [channels]),
        weight({ source: `${source}.bias` }, [channels]),
      ],
      { attributes: { axis: { int: -1 }, epsilon: { float: epsilon } } },
    )
    normedRows.add(normed)
    return sameRows(normed, x)
  }

  function reshape(x: string, shape: string): string {
    return node('Reshape', [x, shape])
  }

  /** [batch, height, width, channels] → [batch, tokens, channels]. */
  function toTokens(x: string, channels: number): string {
    const tokens = reshape(x, ints(0, -1, channels))
    rows.set(tokens, `pixels of ${origins.get(x) ?? x}`)
    return tokens
  }

  /** The runtime shape of `x`, to give a tensor of as many values the same shape again. */
  function shapeOf(x: string): string {
    const known = shapes.get(x) ?? node('Shape', [x])
    shapes.set(x, known)
    return known
  }

  /** Height and width of an NHWC map at run time. Maps made from each other share them, and what is computed from them. */
  function sizeOf(x: string): MapSize {
    const origin = origins.get(x) ?? x
    const side = (axis: number) =>
      node('Gather', [shapeOf(origin), int(axis)], { attributes: { axis: { int: 0 } } })
    const size = sizes.get(origin) ?? { batch: side(0), height: side(1), width: side(2) }
    sizes.set(origin, size)
    return size
  }

  function rowsOf(x: string): string {
    return rows.get(x) ?? x
  }

  /** Puts on record that `y` has as many rows as `x`, and gives `y`. */
  function sameRows(y: string, x: string): string {
    rows.set(y, rowsOf(x))
    return y
  }

  /** Puts on record that map `y` is as high and wide as map `x`, and gives `y`. */
  function sameSize(y: string, x: string): string {
    origins.set(y, origins.get(x) ?? x)
    return y
  }

  /**
   * GroupNorm over an NHWC map or token rows, then SiLU where asked.
   * Sums over pixels and over the channels of a group are products with constant matrices, because ReduceMean over
   * pixels gives another rounding for another batch, and is slower. Two passes (mean, then squared distance from it):
   * one pass loses all digits where the mean is large against the spread.
   */
  function groupNorm(
    x: string,
    source: string,
    channels: number,
    { groups, epsilon, activate = false }: { groups: number; epsilon: number; activate?: boolean },
  ): string {
    const { collect, spread } = groupMatrices(channels, groups)
    const tokens = toTokens(x, channels)
    const { ones, count: pixels } = pixelSums(tokens)
    const groupMean = (value: string) =>
      node('MatMul', [
        node('MatMul', [node('Div', [node('MatMul', [ones, value]), pixels]), collect]),
        spread,
      ])

    const centered = node('Sub', [tokens, groupMean(tokens)])
    const variance = groupMean(multiply(centered, centered))
    const deviation = node('Sqrt', [add(variance, scalar(epsilon))])
    const gain = node('Div', [weight({ source: `${source}.weight` }, [channels]), deviation])
    const normed = add(multiply(centered, gain), weight({ source: `${source}.bias` }, [channels]))
    return sameSize(reshape(activate ? silu(normed) : normed, shapeOf(x)), x)
  }

  /** Constant matrices: means of the channels of each group, and each channel its group's value. */
  function groupMatrices(channels: number, groups: number): { collect: string; spread: string } {
    const perGroup = channels / groups
    const collect = new Float32Array(channels * groups)
    const spread = new Float32Array(groups * channels)
    for (let c = 0; c < channels; c++) {
      const group = Math.floor(c / perGroup)
      collect[c * groups + group] = 1 / perGroup
      spread[group * channels + c] = 1
    }
    return {
      collect: floats(`groups ${channels} to ${groups}`, [channels, groups], collect),
      spread: floats(`groups ${groups} to ${channels}`, [groups, channels], spread),
    }
  }

  /** A row of ones as long as `tokens` has rows, and that length as a float. */
  function pixelSums(tokens: string): { ones: string; count: string } {
    const known = pixelSumsOf.get(rowsOf(tokens))
    if (known) return known
    const length = node('Gather', [node('Shape', [tokens]), ints(1)], { attributes: { axis: { int: 0 } } })
    const ones = node('Expand', [scalar(1), joined([ints(1), length])])
    const sums = { ones, count: node('Cast', [length], { attributes: { to: { int: 1 } } }) }
    pixelSumsOf.set(rowsOf(tokens), sums)
    return sums
  }

  /** Softmax attention of [batch, tokens, channels] queries, keys and values, scaled by 1/√head width. */
  function attention(q: string, k: string, v: string, heads: number, { causal = false } = {}): string {
    const attended = node('MultiHeadAttention', [q, k, v], {
      domain: MICROSOFT,
      attributes: { num_heads: { int: heads }, ...(causal && { unidirectional: { int: 1 } }) },
    })
    return sameRows(attended, q)
  }

  /** Twice the height and width of an NHWC map. */
  function doubled(x: string): MapSize {
    const { batch, height, width } = sizeOf(x)
    return { batch, height: node('Mul', [height, int(2)]), width: node('Mul', [width, int(2)]) }
  }

  /** Repeats pixels of an NHWC map to another height and width, at most twice its own, by `i → i / 2`. */
  function repeatTo(x: string, size: MapSize): string {
    const along = (axis: 1 | 2, y: string) => {
      const range = node('Range', [int(0), axis === 1 ? size.height : size.width, int(1)])
      return node('Gather', [y, node('Div', [range, int(2)])], { attributes: { axis: { int: axis } } })
    }
    const y = along(2, along(1, x))
    sizes.set(y, size)
    return y
  }

  function int(value: number): string {
    return constant(`int64(${value})`, 'int64', [], new Uint8Array(BigInt64Array.of(BigInt(value)).buffer))
  }

  function joined(parts: string[]): string {
    return node('Concat', parts, { attributes: { axis: { int: 0 } } })
  }

  function concatChannels(...maps: string[]): string {
    return sameSize(node('Concat', maps, { attributes: { axis: { int: -1 } } }), maps.at(-1)!)
  }

  function input(inputName: string, dims?: Dimensions, type: DataType = 'float32'): string {
    graph.inputs.push({ name: inputName, type, ...(dims && { dims }) })
    return inputName
  }

  /** Names `value` as an output of the graph. */
  function output(outputName: string, value: string, dims?: Dimensions): void {
    graph.nodes.push({
      op: 'Identity',
      domain: '',
      name: `output ${outputName}`,
      inputs: [value],
      outputs: [outputName],
      attributes: {},
    })
    graph.outputs.push({ name: outputName, type: 'float32', ...(dims && { dims }) })
  }

  /**
   * Runs what `build` makes once for each slice of the sequences along their first axis, one after the other, and gives its
   * results, of all slices, stacked in the same way. `build` may use values made before; what it makes ends with it.
   */
  function forEachSlice(
    sequences: { value: string; type: DataType }[],
    build: (...slices: string[]) => string[],
  ): string[] {
    const around = nodes
    const inputs = sequences.map(({ type }) => ({ name: `slice_${count++}`, type }))
    const body: OnnxGraph = { name: `each_${count++}`, nodes: [], initializers: [], inputs, outputs: [] }
    nodes = body.nodes
    const results = build(...inputs.map((slice) => slice.name))
    nodes = around
    body.outputs = results.map((result) => ({ name: result, type: 'float32' }))
    const outputs = results.map((result) => `all ${result}`)
    nodes.push({
      op: 'Scan',
      domain: '',
      name: `${path}${path && '/'}Scan_${count++}`,
      inputs: sequences.map(({ value }) => value),
      outputs,
      attributes: { body: { graph: body }, num_scan_inputs: { int: sequences.length } },
    })
    return outputs
  }

  /** Nodes made inside `build` carry the module's name, so that a profile can be read. */
  function inModule<T>(module: string, build: () => T): T {
    const before = path
    path = module
    try {
      return build()
    } finally {
      path = before
    }
  }

  return {
    graph,
    node,
    scalar,
    ints,
    int32s,
    zeros,
    weight,
    has,
    linear,
    conv3x3,
    conv3x3OfRows,
    doublingConvOfRows,
    linearOfRows,
    isFloat,
    groupMatrices,
    forEachSlice,
    silu,
    quickGelu,
    gelu,
    add,
    multiply,
    layerNorm,
    reshape,
    toTokens,
    shapeOf,
    groupNorm,
    attention,
    doubled,
    sizeOf,
    joined,
    concatChannels,
    input,
    output,
    inModule,
  }
}
