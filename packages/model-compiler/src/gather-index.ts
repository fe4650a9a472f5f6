import type { GraphCore } from './graph.ts'

/** Scalars of the graph that say how large an NHWC map is. */
export type MapSize = { batch: string; height: string; width: string }

/** Where each output pixel of a 3x3 convolution finds its nine inputs. */
export type GatherSource = {
  /** int32 [pixels, 9]; index height · width stands for what lies beyond the border. */
  index: string
  /** Height and width of the output. */
  size: MapSize
  /** [batch, height, width, outputs] of the output. */
  outputShape: string
}

export type GatherOptions = {
  stride: number
  outputs: number
  /** The map is first enlarged to this size by repeating pixels, `i → i / 2`; the enlarged one is never made. */
  enlargedTo?: MapSize
}

/**
 * Builds the indices from the map's runtime size, so that one graph serves every size. Row and column parts are small;
 * only their sum is as long as the pixels, and what is out of bounds in either is cut to the index of the border row.
 */
export function createGatherIndex({ node, ints, int, int64s }: GraphCore) {
  const known = new Map<string, string>()

  function once(key: string, make: () => string): string {
    const found = known.get(key) ?? make()
    known.set(key, found)
    return found
  }

  return (size: MapSize, { stride, outputs, enlargedTo }: GatherOptions): GatherSource => {
    const inside = enlargedTo ?? size
    const output = stride === 1 ? inside : strided(inside, stride)
    const beyond = node('Mul', [size.height, size.width])
    const part = (axis: 'height' | 'width', step: string) => {
      const places = node('Add', [
        node('Mul', [
          node('Unsqueeze', [node('Range', [int(0), output[axis], int(1)]), ints(1)]),
          int(stride),
        ]),
        int64s('taps', [-1, 0, 1]),
      ])
      const isInside = node('And', [
        node('GreaterOrEqual', [places, int(0)]),
        node('Less', [places, inside[axis]]),
      ])
      const own = node('Mul', [enlargedTo ? node('Div', [places, int(2)]) : places, step])
      return toInt32(node('Where', [isInside, own, beyond]))
    }
    const index = once(`${size.height} ${size.width} ${output.height} ${output.width} ${stride}`, () => {
      const sum = node('Add', [
        node('Reshape', [part('height', size.width), ints(-1, 1, 3, 1)]),
        node('Reshape', [part('width', int(1)), ints(1, -1, 1, 3)]),
      ])
      return node('Reshape', [node('Min', [sum, toInt32(beyond)]), ints(-1, 9)])
    })
    return {
      index,
      size: output,
      outputShape: once(`${output.batch} ${output.height} ${output.width} x ${outputs}`, () =>
        node('Concat', [vector(output.batch), vector(output.height), vector(output.width), ints(outputs)], {
          attributes: { axis: { int: 0 } },
        }),
      ),
    }
  }

  /** Size of what a 3x3 convolution with padding 1 makes: rounded up. */
  function strided(size: MapSize, stride: number): MapSize {
    const shrink = (side: string) =>
      once(`${side} / ${stride}`, () => node('Div', [node('Add', [side, int(stride - 1)]), int(stride)]))
    return { batch: size.batch, height: shrink(size.height), width: shrink(size.width) }
  }

  function toInt32(x: string): string {
    return node('Cast', [x], { attributes: { to: { int: 6 } } })
  }

  function vector(x: string): string {
    return once(`vector ${x}`, () => node('Reshape', [x, ints(1)]))
  }
}
