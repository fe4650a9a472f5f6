import { CompileError } from './compile-error.ts'
import type { Attribute, DataType, Dimensions, OnnxGraph, OnnxInitializer } from './onnx.ts'

/** How a source tensor is laid out in the weight pack. */
export type WeightRef = {
  /** Name in the source file. */
  source: string
  /** Rows of the source's first axis to take; all when absent. */
  rows?: [number, number]
  /** Stored as [columns, rows]: torch's linear weights are [out, in], a product needs [in, out]. */
  transpose?: boolean
}

/** A weight the graph uses: an entry of the segment's pack, written after the graph is built. */
export type PlannedWeight = WeightRef & { name: string; dims: number[] }

export type Graph = OnnxGraph & { weights: PlannedWeight[] }

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

export function createGraphBuilder(
  name: string,
  weightsOf: { shapeOf(name: string): number[] | undefined; labelOf(name: string): string },
) {
  const graph: Graph = { name, nodes: [], initializers: [], inputs: [], outputs: [], weights: [] }
  const constants = new Set<string>()
  const shapes = new Map<string, string>()
  let path = ''
  let count = 0

  function node(op: string, inputs: string[], { attributes = {}, domain = '' }: NodeOptions = {}): string {
    const id = `${path}${path && '/'}${op}_${count++}`
    graph.nodes.push({ op, domain, name: id, inputs, outputs: [id], attributes })
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

  function ints(...values: number[]): string {
    const data = BigInt64Array.from(values.map(BigInt))
    return constant(`int64[${values}]`, 'int64', [values.length], new Uint8Array(data.buffer))
  }

  const scalar = (value: number) => floats(`float32(${value})`, [], [value])

  /** Declares a weight whose shape in the source must be `expected`, and gives its name in the graph. */
  function weight(ref: WeightRef, expected: number[]): string {
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

  /** `x · Wᵀ + b` for torch's `Linear(inputs, outputs)` (or a 1x1 convolution) called `source`, or for some rows of W. */
  function linear(
    x: string,
    source: string,
    [inputs, outputs]: [number, number],
    { bias = true, rows }: { bias?: boolean; rows?: [number, number] } = {},
  ): string {
    const matrix = weight({ source: `${source}.weight`, transpose: true, rows }, [outputs, inputs])
    const product = node('MatMul', [x, matrix])
    return bias ? node('Add', [product, weight({ source: `${source}.bias`, rows }, [outputs])]) : product
  }

  /**
   * 3x3 convolution of an NHWC map, by default padded by 1 on each side. Runs as Transpose, Conv, Transpose; ONNX Runtime's layout optimiser
   * merges the transposes into the blocked layout its own convolution kernel reads and writes.
   */
  function conv3x3(
    x: string,
    source: string,
    [inputs, outputs]: [number, number],
    { stride = 1, pads = [1, 1, 1, 1], bias = true }: ConvOptions = {},
  ): string {
    const nchw = node('Transpose', [x], { attributes: { perm: { ints: [0, 3, 1, 2] } } })
    const y = node(
      'Conv',
      [
        nchw,
        weight({ source: `${source}.weight` }, [outputs, inputs, 3, 3]),
        ...(bias ? [weight({ source: `${source}.bias` }, [outputs])] : []),
      ],
      {
        attributes: {
          kernel_shape: { ints: [3, 3] },
          pads: { ints: pads },
          strides: { ints: [stride, stride] },
        },
      },
    )
    return node('Transpose', [y], { attributes: { perm: { ints: [0, 2, 3, 1] } } })
  }

  const silu = (x: string) => quickGelu(x, 1)

  /** `x · sigmoid(alpha · x)`: SiLU at 1, CLIP's "quick_gelu" at 1.702. */
  function quickGelu(x: string, alpha: number): string {
    return node('QuickGelu', [x], { domain: MICROSOFT, attributes: { alpha: { float: alpha } } })
  }

  const gelu = (x: string) => node('Gelu', [x], { domain: MICROSOFT })
  const add = (a: string, b: string) => node('Add', [a, b])
  const multiply = (a: string, b: string) => node('Mul', [a, b])

  function layerNorm(x: string, source: string, channels: number, epsilon = 1e-5): string {
    return node(
      'LayerNormalization',
      [
        x,
        weight({ source: `${source}.weight` }, [channels]),
        weight({ source: `${source}.bias` }, [channels]),
      ],
      { attributes: { axis: { int: -1 }, epsilon: { float: epsilon } } },
    )
  }

  function reshape(x: string, shape: string): string {
    return node('Reshape', [x, shape])
  }

  /** [batch, height, width, channels] → [batch, tokens, channels]. */
  const toTokens = (x: string, channels: number) => reshape(x, ints(0, -1, channels))

  /** The runtime shape of `x`, to give a tensor of as many values the same shape again. */
  function shapeOf(x: string): string {
    const known = shapes.get(x) ?? node('Shape', [x])
    shapes.set(x, known)
    return known
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
    const perGroup = channels / groups
    const collect = new Float32Array(channels * groups)
    const spread = new Float32Array(groups * channels)
    for (let c = 0; c < channels; c++) {
      const group = Math.floor(c / perGroup)
      collect[c * groups + group] = 1 / perGroup
      spread[group * channels + c] = 1
    }
    const collectName = floats(`groups ${channels} to ${groups}`, [channels, groups], collect)
    const spreadName = floats(`groups ${groups} to ${channels}`, [groups, channels], spread)
    const tokens = toTokens(x, channels)
    const { ones, count: pixels } = pixelSums(tokens)
    const groupMean = (value: string) =>
      node('MatMul', [
        node('MatMul', [node('Div', [node('MatMul', [ones, value]), pixels]), collectName]),
        spreadName,
      ])

    const centered = node('Sub', [tokens, groupMean(tokens)])
    const variance = groupMean(multiply(centered, centered))
    const deviation = node('Sqrt', [add(variance, scalar(epsilon))])
    const gain = node('Div', [weight({ source: `${source}.weight` }, [channels]), deviation])
    const normed = add(multiply(centered, gain), weight({ source: `${source}.bias` }, [channels]))
    return reshape(activate ? silu(normed) : normed, shapeOf(x))
  }

  /** A row of ones as long as `tokens` has rows, and that length as a float. */
  function pixelSums(tokens: string): { ones: string; count: string } {
    const length = node('Gather', [node('Shape', [tokens]), ints(1)], { attributes: { axis: { int: 0 } } })
    const ones = node('Expand', [
      scalar(1),
      node('Concat', [ints(1), length], { attributes: { axis: { int: 0 } } }),
    ])
    return { ones, count: node('Cast', [length], { attributes: { to: { int: 1 } } }) }
  }

  /** Softmax attention of [batch, tokens, channels] queries, keys and values, scaled by 1/√head width. */
  function attention(q: string, k: string, v: string, heads: number, { causal = false } = {}): string {
    return node('MultiHeadAttention', [q, k, v], {
      domain: MICROSOFT,
      attributes: { num_heads: { int: heads }, ...(causal && { unidirectional: { int: 1 } }) },
    })
  }

  /** Doubles height and width of an NHWC map by repeating pixels. */
  function upsample2x(x: string): string {
    const sizes = node('Mul', [shapeOf(x), ints(1, 2, 2, 1)])
    return repeatTo(x, sizes)
  }

  /** Repeats pixels of an NHWC map to the height and width of shape `target`, at most twice its own, by `i → i / 2`. */
  function repeatTo(x: string, target: string): string {
    const along = (axis: number, y: string) => {
      const size = node('Squeeze', [
        node('Gather', [target, ints(axis)], { attributes: { axis: { int: 0 } } }),
        ints(0),
      ])
      const range = node('Range', [int(0), size, int(1)])
      return node('Gather', [y, node('Div', [range, int(2)])], { attributes: { axis: { int: axis } } })
    }
    return along(2, along(1, x))
  }

  function int(value: number): string {
    return constant(`int64(${value})`, 'int64', [], new Uint8Array(BigInt64Array.of(BigInt(value)).buffer))
  }

  function concatChannels(...maps: string[]): string {
    return node('Concat', maps, { attributes: { axis: { int: -1 } } })
  }

  function input(inputName: string, dims: Dimensions, type: DataType = 'float32'): string {
    graph.inputs.push({ name: inputName, type, dims })
    return inputName
  }

  /** Names `value` as an output of the graph. */
  function output(outputName: string, value: string, dims: Dimensions): void {
    graph.nodes.push({
      op: 'Identity',
      domain: '',
      name: `output ${outputName}`,
      inputs: [value],
      outputs: [outputName],
      attributes: {},
    })
    graph.outputs.push({ name: outputName, type: 'float32', dims })
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
    weight,
    has,
    linear,
    conv3x3,
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
    upsample2x,
    repeatTo,
    concatChannels,
    input,
    output,
    inModule,
  }
}
