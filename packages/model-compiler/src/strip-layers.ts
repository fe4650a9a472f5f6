import type { Convolution, DecoderLayers, FeatureMap } from './decoder-layers.ts'
import type { GraphBuilder } from './graph.ts'

/**
 * A feature map of one image in strips of as many whole rows each, [strips, pixels, channels]: the same bytes as
 * [1, height, width, channels].
 */
type StripMap = FeatureMap & {
  /** Means of each strip's channels and mean squares of their distance from them, [strips, 1, channels]; for a GroupNorm to come. */
  moments?: { means: string; squares: string }
}

const floats = (value: string) => ({ value, type: 'float32' as const })
const ints32 = (value: string) => ({ value, type: 'int32' as const })

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
  const { node, ints } = g
  const indices = (name: string, ...dims: (string | number)[]) => g.input(name, dims, 'int32')
  const kind = isEnlarged ? 'enlarged' : 'strip'
  const placesOf = (from: string) => ({
    borders: indices(`${from}_borders`, 'strips', 2),
    neighbours: indices(`${from}_neighbours`, 'strips', 'strip_pixels', 9),
  })
  const own = placesOf(kind)
  const source = isEnlarged ? placesOf('source') : own
  let rows: { numbers: string; mask: string } | undefined

  const dimensions = (of: string, ...axes: number[]) =>
    node('Gather', [g.shapeOf(of), ints(...axes)], { attributes: { axis: { int: 0 } } })
  const join = (...vectors: string[]) => node('Concat', vectors, { attributes: { axis: { int: 0 } } })
  const featureSize = dimensions(features, 1, 2)
  const size = isEnlarged ? node('Mul', [featureSize, ints(2)]) : featureSize
  const mapShape = join(ints(1), size, ints(-1))
  const strips = dimensions(own.neighbours, 0)
  const heightOf = (of: string) => node('Gather', [of, ints(0)], { attributes: { axis: { int: 0 } } })
  const rowsShape = join(heightOf(size), ints(-1))
  const sourceRowsShape = isEnlarged ? join(heightOf(featureSize), ints(-1)) : rowsShape
  const pixels = dimensions(own.neighbours, 1)
  const count = node('Cast', [pixels], { attributes: { to: { int: 1 } } })
  // Products with a row of 1 / pixels are means over pixels, quicker than ReduceMean.
  const average = node('Expand', [node('Div', [g.scalar(1), count]), join(ints(1), pixels)])

  /** A map [1, height, width, channels] in strips. */
  const hold = (map: string, channels: number): StripMap => ({
    value: g.reshape(map, join(strips, ints(-1, channels))),
    channels,
  })

  const whole = ({ value }: StripMap): string => g.reshape(value, mapShape)

  // In the dimensions of a whole map it would be copied.
  const output = (name: string, { value, channels }: StripMap) =>
    g.output(name, value, ['strips', 'strip_pixels', channels])

  function measure(strip: string): [means: string, squares: string] {
    const means = node('MatMul', [average, strip])
    const distance = node('Sub', [strip, means])
    return [means, node('MatMul', [average, node('Mul', [distance, distance])])]
  }

  function withMoments(map: StripMap): StripMap & Required<Pick<StripMap, 'moments'>> {
    if (map.moments) return { ...map, moments: map.moments }
    const [means, squares] = g.forEachSlice([floats(map.value)], (strip) => measure(strip!))
    return { ...map, moments: { means: means!, squares: squares! } }
  }

  /** GroupNorm as `gain · x + shift` of each channel, [1, channels]. Strips are equally large, so their means have equal weight. */
  function normalize(map: StripMap, norm: string): { gain: string; shift: string } {
    const { channels } = map
    const { means, squares } = withMoments(map).moments
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
    const { outputs, norm, plus, enlarges = false, precise = false, isNormedNext = false } = options
    const isFloat = precise || g.isFloat(path)
    if (isFloat && enlarges) return enlargeInFloat(map, path, options)
    const affine = norm === undefined ? undefined : normalize(map, norm)
    const prepare = (x: string) =>
      affine ? g.silu(node('Add', [node('Mul', [x, affine.gain]), affine.shift])) : x
    const view = g.reshape(map.value, enlarges ? sourceRowsShape : rowsShape)
    const takeRows = (numbers: string) =>
      g.reshape(node('Gather', [view, numbers], { attributes: { axis: { int: 0 } } }), ints(-1, map.channels))
    const shape: [number, number] = [map.channels, outputs]
    const finish = (convolved: string, residual?: string) => {
      const added = residual && plus!.shortcut ? shortcut(residual, plus!, outputs) : residual
      const result = added ? node('Add', [added, convolved]) : convolved
      return isNormedNext ? [result, ...measure(result)] : [result]
    }
    const residuals = plus ? [floats(plus.map.value)] : []
    const { borders, neighbours } = enlarges ? source : own
    const [value, means, squares] = isFloat
      ? g.forEachSlice([ints32(rowsOf().numbers), floats(rowsOf().mask), ...residuals], (numbers, mask, x) =>
          finish(
            floatConvolution(prepare(takeRows(numbers!)), path, shape, {
              rows: numbers!,
              mask: mask!,
              precise,
            }),
            x,
          ),
        )
      : g.forEachSlice(
          [floats(map.value), ints32(borders), ints32(neighbours), ...residuals],
          (strip, above, index, x) => {
            const parts = [prepare(strip!), prepare(takeRows(above!))]
            return finish(
              g.conv3x3OfRows(parts, path, shape, { activated: affine !== undefined, index: index! }),
              x,
            )
          },
        )
    return {
      value: value!,
      channels: outputs,
      ...(isNormedNext && { moments: { means: means!, squares: squares! } }),
    }
  }

  const shortcut = (x: string, { map, shortcut }: { map: StripMap; shortcut?: string }, outputs: number) =>
    g.linear(x, shortcut!, [map.channels, outputs])

  /** Rows that a strip is convolved from in float32, and 0 for those beyond the border of the map, 1 for others. */
  function rowsOf(): { numbers: string; mask: string } {
    rows ??= {
      numbers: indices(`${kind}_rows`, 'strips', 'strip_rows'),
      mask: g.input(`${kind}_mask`, ['strips', 'strip_rows']),
    }
    return rows
  }

  function floatConvolution(
    strip: string,
    path: string,
    [inputs, outputs]: [number, number],
    own: { rows: string; mask: string; precise: boolean },
  ): string {
    const height = g.shapeOf(own.rows)
    const map = g.reshape(strip, join(ints(1), height, ints(-1, inputs)))
    const inside = node('Mul', [map, g.reshape(own.mask, join(ints(1), height, ints(1, 1)))])
    // What lies above and below is part of the strip.
    const y = g.conv3x3(inside, path, [inputs, outputs], { pads: [0, 1, 0, 1], precise: own.precise })
    return g.reshape(y, ints(-1, outputs))
  }

  function enlargeInFloat(map: StripMap, path: string, { outputs }: Convolution<StripMap>): StripMap {
    const small = g.reshape(map.value, join(ints(1), featureSize, ints(-1)))
    const y = g.conv3x3(small, path, [map.channels, outputs], { enlargedTo: g.doubled(small) })
    return hold(y, outputs)
  }

  return { hold, whole, output, conv3x3 }
}
