import type { Convolution, DecoderLayers, FeatureMap } from './decoder-layers.ts'
import type { GraphBuilder } from './graph.ts'
import type { DataType } from './onnx.ts'
import { PHASES } from './quantise-weights.ts'

/**
 * A feature map of one image in strips of as many whole rows each, [strips, pixels, channels]: the same bytes as
 * [1, height, width, channels].
 */
type StripMap = FeatureMap & {
  /**
   * Of a map that was just doubled, its pixels of even rows and even columns, of even rows and odd columns, and so on,
   * [strips, pixels / 4, channels] each. Putting them together is work for one thread, done only where `value` is read.
   */
  phases?: string[]
  /** Means of each strip's channels and mean squares of their distance from them, [strips, 1, channels]; for a GroupNorm to come. */
  moments?: { means: string; squares: string }
}

const TAPS = 9

type Sequence = { value: string; type: DataType }

/** What a convolution goes through slice by slice, and how it makes a strip of the result from them. */
type Source = { sequences: Sequence[]; convolve: (slices: string[]) => string }

type Prepared = { prepare: (x: string) => string }

const floats = (value: string) => ({ value, type: 'float32' as const })
const ints32 = (value: string) => ({ value, type: 'int32' as const })

function lazy<T>(make: () => T): () => T {
  let made: T | undefined
  return () => {
    made ??= make()
    return made
  }
}

/**
 * Layers that work through the feature maps of one image strip after strip: norm, activation, convolution and residual of a
 * strip follow each other while it lies in the cache, and its memory serves the next one. Where strips lie is told by inputs
 * of the graph that the caller computes (`stripInputs` of `@sdcpu/diffusion`).
 * @param isEnlarged the map that the graph is given is half as high and wide as those it works on
 */
export function createStripLayers(
  g: GraphBuilder,
  features: string,
  { groups, epsilon, isEnlarged }: { groups: number; epsilon: number; isEnlarged: boolean },
): DecoderLayers<StripMap> {
  const { node, ints, joined } = g
  const indices = (name: string, ...dims: (string | number)[]) => g.input(name, dims, 'int32')
  const kind = isEnlarged ? 'enlarged' : 'strip'
  const own = {
    borders: indices(`${kind}_borders`, 'strips', 2),
    neighbours: indices(`${kind}_neighbours`, 'strips', 'strip_pixels', 9),
  }
  /** Rows that a strip is convolved from in float32, and 0 for those beyond the border of the map, 1 for others. */
  const floatRows = lazy(() => ({
    numbers: indices(`${kind}_rows`, 'strips', 'strip_rows'),
    mask: g.input(`${kind}_mask`, ['strips', 'strip_rows']),
  }))
  const sourceBorders = lazy(() => indices('source_borders', 'strips', 2))
  const doubledPlaces = lazy(() => ({
    borders: sourceBorders(),
    neighbours: indices('phase_neighbours', 'strips', 'strip_pixels', 9),
    order: indices('phase_order', 'strips', 'strip_pixels'),
  }))

  const take = (of: string, places: string) =>
    node('Gather', [of, places], { attributes: { axis: { int: 0 } } })
  const dimensions = (of: string, ...axes: number[]) => take(g.shapeOf(of), ints(...axes))
  const join = (...vectors: string[]) => joined(vectors)
  const featureSize = dimensions(features, 1, 2)
  const size = isEnlarged ? node('Mul', [featureSize, ints(2)]) : featureSize
  const mapShape = join(ints(1), size, ints(-1))
  const strips = dimensions(own.neighbours, 0)
  const rowsShape = join(take(size, ints(0)), ints(-1))
  const sourceRowsShape = isEnlarged ? join(take(featureSize, ints(0)), ints(-1)) : rowsShape
  const average = averageOf(dimensions(own.neighbours, 1))

  /** Products with a row of 1 / pixels are means over pixels, quicker than ReduceMean. */
  function averageOf(pixels: string): string {
    const count = node('Cast', [pixels], { attributes: { to: { int: 1 } } })
    return node('Expand', [node('Div', [g.scalar(1), count]), join(ints(1), pixels)])
  }

  /** A map [1, height, width, channels] in strips. */
  const hold = (map: string, channels: number): StripMap => ({
    value: g.reshape(map, join(strips, ints(-1, channels))),
    channels,
  })

  const whole = ({ value }: StripMap): string => g.reshape(value, mapShape)

  // In the dimensions of a whole map it would be copied.
  const output = (name: string, { value, channels }: StripMap) =>
    g.output(name, value, ['strips', 'strip_pixels', channels])

  function measure(strip: string, by = average): [means: string, squares: string] {
    const means = node('MatMul', [by, strip])
    const distance = node('Sub', [strip, means])
    return [means, node('MatMul', [by, node('Mul', [distance, distance])])]
  }

  function momentsOf(map: StripMap): Required<StripMap>['moments'] {
    if (map.moments) return map.moments
    const [means, squares] = g.forEachSlice([floats(map.value)], (strip) => measure(strip!))
    return { means: means!, squares: squares! }
  }

  /** GroupNorm as `gain · x + shift` of each channel, [1, channels]. Strips are equally large, so their means have equal weight. */
  function normalize(map: StripMap, norm: string): { gain: string; shift: string } {
    const { channels } = map
    const { means, squares } = momentsOf(map)
    const overStrips = (x: string) =>
      node('ReduceMean', [x, ints(0)], { attributes: { keepdims: { int: 0 } } })
    const square = (x: string) => node('Mul', [x, x])
    const { collect, spread } = g.groupMatrices(channels, groups)
    const ofGroup = (x: string) => node('MatMul', [node('MatMul', [x, collect]), spread])
    const mean = overStrips(means)
    const variance = node('Add', [overStrips(squares), overStrips(square(node('Sub', [means, mean])))])
    const groupMean = ofGroup(mean)
    const groupVariance = ofGroup(node('Add', [variance, square(node('Sub', [mean, groupMean]))]))
    const deviation = node('Sqrt', [node('Add', [groupVariance, g.scalar(epsilon)])])
    const gain = node('Div', [g.weight({ source: `${norm}.weight` }, [channels]), deviation])
    const bias = g.weight({ source: `${norm}.bias` }, [channels])
    return { gain, shift: node('Sub', [bias, node('Mul', [groupMean, gain])]) }
  }

  /** 3x3 convolution with padding 1 of a map, with what goes before and after it. */
  function conv3x3(map: StripMap, path: string, options: Convolution<StripMap>): StripMap {
    const { outputs, norm, plus, precise = false, isNormedNext = false } = options
    const shape: [number, number] = [map.channels, outputs]
    const affine = norm === undefined ? undefined : normalize(map, norm)
    const prepare = (x: string) =>
      affine ? g.silu(node('Add', [node('Mul', [x, affine.gain]), affine.shift])) : x
    const residual = plus && residualOf(plus, outputs)
    const finish = (convolved: string, slices: string[]) => {
      const result = residual ? node('Add', [residual.make(slices), convolved]) : convolved
      return isNormedNext ? [result, ...measure(result)] : [result]
    }
    const { sequences, convolve } =
      precise && TAPS * outputs < map.channels
        ? narrowConvolution(map, path, shape, { prepare })
        : precise || g.isFloat(path)
          ? floatConvolution(map, path, shape, { prepare, precise })
          : integerConvolution(map, path, shape, { prepare, activated: affine !== undefined })
    const [value, means, squares] = g.forEachSlice(
      [...sequences, ...(residual?.sequences ?? [])],
      (...slices) => finish(convolve(slices), slices.slice(sequences.length)),
    )
    return {
      value: value!,
      channels: outputs,
      ...(isNormedNext && { moments: { means: means!, squares: squares! } }),
    }
  }

  function integerConvolution(
    map: StripMap,
    path: string,
    shape: [number, number],
    { prepare, activated }: Prepared & { activated: boolean },
  ): Source {
    return neighbourhoodsOf(map, (parts, index) =>
      g.conv3x3OfRows(parts.map(prepare), path, shape, { activated, index }),
    )
  }

  /**
   * In float32 to fewer values than a pixel has channels: a product for all taps at once, and for each pixel the sum of what
   * its neighbours' products have for it. Where taps were gathered first, or the map went to a blocked layout and back,
   * more would be copied, the latter on one thread.
   */
  function narrowConvolution(
    map: StripMap,
    path: string,
    [inputs, outputs]: [number, number],
    { prepare }: Prepared,
  ): Source {
    const kernel = g.weight({ source: `${path}.weight` }, [outputs, inputs, 3, 3])
    const bias = g.weight({ source: `${path}.bias` }, [outputs])
    const byTap = node('Transpose', [kernel], { attributes: { perm: { ints: [1, 2, 3, 0] } } })
    const matrix = g.reshape(byTap, ints(inputs, TAPS * outputs))
    return neighbourhoodsOf(map, (parts, index) => {
      const products = parts.map((part) => node('MatMul', [prepare(part), matrix]))
      const ofTaps = g.reshape(joined([...products, g.zeros(1, TAPS * outputs)]), ints(-1, outputs))
      const places = node('Add', [node('Mul', [index, g.int32s(TAPS)]), g.int32s(...Array(TAPS).keys())])
      const neighbours = take(ofTaps, places)
      const sums = node('ReduceSum', [neighbours, ints(1)], { attributes: { keepdims: { int: 0 } } })
      return node('Add', [sums, bias])
    })
  }

  /** Makes each strip of a result from the parts of that strip, the rows around them, and the places of all neighbours. */
  function neighbourhoodsOf(map: StripMap, make: (parts: string[], index: string) => string): Source {
    const { parts, borders, neighbours, around } = map.phases
      ? ofPhases(map.phases, map.channels)
      : ofRows(map)
    return {
      sequences: [...parts.map(floats), ints32(borders), ints32(neighbours)],
      convolve(slices) {
        const [above, index] = slices.slice(parts.length)
        return make([...slices.slice(0, parts.length), ...around(above!)], index!)
      },
    }
  }

  /** What a map is convolved from: its parts, and of each strip the rows around it, with the places of both. */
  function ofRows({ value, channels }: StripMap) {
    const view = g.reshape(value, rowsShape)
    return { ...own, parts: [value], around: (borders: string) => [takeRows(view, borders, channels)] }
  }

  function ofPhases(phases: string[], channels: number) {
    const { borders, neighbours } = doubledPlaces()
    const views = phases.map((phase) => g.reshape(phase, sourceRowsShape))
    // Rows above a strip are odd ones and those below it even.
    const around = (numbers: string) =>
      [2, 3, 0, 1].map((phase, i) => takeRows(views[phase]!, take(numbers, ints(i < 2 ? 0 : 1)), channels))
    return { parts: phases, borders, neighbours, around }
  }

  const takeRows = (view: string, numbers: string, channels: number) =>
    g.reshape(take(view, numbers), ints(-1, channels))

  /** What is added to a convolution's result, and the sequences whose slices it is made from. */
  function residualOf(
    { map, shortcut }: Required<Convolution<StripMap>>['plus'],
    outputs: number,
  ): { sequences: Sequence[]; make: (slices: string[]) => string } {
    const { phases, channels } = map
    const shape: [number, number] = [channels, outputs]
    const linear = (x: string) => (shortcut ? g.linear(x, shortcut, shape) : x)
    if (!phases) return { sequences: [floats(map.value)], make: ([x]) => linear(x!) }
    const { order } = doubledPlaces()
    return {
      sequences: [...phases.map(floats), ints32(order)],
      make(slices) {
        const [parts, places] = [slices.slice(0, PHASES), slices[PHASES]!]
        if (shortcut && !g.isFloat(shortcut)) return g.linearOfRows(parts, shortcut, shape, places)
        return linear(take(joined(parts), places))
      },
    }
  }

  /** Doubles height and width by repeating pixels, and convolves. */
  function enlarge(map: StripMap, path: string): StripMap {
    const { channels } = map
    if (g.isFloat(path)) {
      const small = g.reshape(map.value, join(ints(1), featureSize, ints(-1)))
      return hold(g.conv3x3(small, path, [channels, channels], { enlargedTo: g.doubled(small) }), channels)
    }
    const view = g.reshape(map.value, sourceRowsShape)
    const borders = sourceBorders()
    const neighbours = indices('source_neighbours', 'strips', PHASES, 'source_pixels', 4)
    const ofPhase = averageOf(dimensions(neighbours, 2))
    const results = g.forEachSlice(
      [floats(map.value), ints32(borders), ints32(neighbours)],
      (x, above, index) => {
        const parts = [x!, takeRows(view, above!, channels)]
        const phases = g.doublingConvOfRows(parts, path, channels, index!)
        const moments = phases.map((phase) => measure(phase, ofPhase))
        return [...phases, ...moments.map(([means]) => means), ...moments.map(([, squares]) => squares)]
      },
    )
    const [phases, means, squares] = [0, 1, 2].map((i) => results.slice(i * PHASES, (i + 1) * PHASES))
    let value: string | undefined
    return {
      channels,
      phases: phases!,
      moments: { means: joined(means!), squares: joined(squares!) },
      get value() {
        value ??= putTogether(phases!, channels)
        return value
      },
    }
  }

  function putTogether(phases: string[], channels: number): string {
    const beside = (parts: string[]) => node('Concat', parts, { attributes: { axis: { int: 1 } } })
    const flat = phases.map((phase) => g.reshape(phase, ints(-1, channels)))
    const rows = [0, 2].map((first) => g.reshape(beside(flat.slice(first, first + 2)), sourceRowsShape))
    return g.reshape(beside(rows), join(strips, ints(-1, channels)))
  }

  function floatConvolution(
    { value, channels }: StripMap,
    path: string,
    shape: [number, number],
    { prepare, precise }: Prepared & { precise: boolean },
  ): Source {
    const { numbers, mask } = floatRows()
    const view = g.reshape(value, rowsShape)
    return {
      sequences: [ints32(numbers), floats(mask)],
      // What lies above and below is part of the strip.
      convolve([own, isInside]) {
        const height = g.shapeOf(own!)
        const map = g.reshape(
          prepare(takeRows(view, own!, channels)),
          join(ints(1), height, ints(-1, channels)),
        )
        const inside = node('Mul', [map, g.reshape(isInside!, join(ints(1), height, ints(1, 1)))])
        return g.reshape(g.conv3x3(inside, path, shape, { pads: [0, 1, 0, 1], precise }), ints(-1, shape[1]))
      },
    }
  }

  return { hold, whole, output, conv3x3, enlarge }
}
