import type { GraphBuilder } from './graph.ts'

/** A feature map of the decoder, as the layers that made it hold it. */
export type FeatureMap = { value: string; channels: number }

export type Convolution<Held extends FeatureMap> = {
  outputs: number
  /** GroupNorm, followed by SiLU, before the convolution. */
  norm?: string
  /** What is added to the result: a map, through a 1x1 convolution where it is named. */
  plus?: { map: Held; shortcut?: string }
  /** Says that a GroupNorm follows. */
  isNormedNext?: boolean
  /** Computes in float32 whatever the plan says. */
  precise?: boolean
}

/** What the decoder is made of, apart from its attention. */
export type DecoderLayers<Held extends FeatureMap = FeatureMap> = {
  /** Takes a map [batch, height, width, channels] of the size that the graph works at. */
  hold(map: string, channels: number): Held
  /** Gives it back in that shape. */
  whole(map: Held): string
  /** Makes it an output of the graph, as it is held: the same bytes, in dimensions that the next graph is not given. */
  output(name: string, map: Held): void
  /** 3x3 convolution with padding 1, with what goes before and after it. */
  conv3x3(map: Held, path: string, options: Convolution<Held>): Held
  /** The same convolution after height and width were doubled by repeating pixels. A GroupNorm follows. */
  enlarge(map: Held, path: string): Held
}

/** Layers that compute whole maps, one operator after another. */
export function createMapLayers(
  g: GraphBuilder,
  { groups, epsilon }: { groups: number; epsilon: number },
): DecoderLayers {
  return {
    hold: (value, channels) => ({ value, channels }),
    whole: ({ value }) => value,
    output: (name, { value, channels }) => g.output(name, value, ['batch', 'height', 'width', channels]),
    conv3x3({ value, channels }, path, { outputs, norm, plus, precise }) {
      const x =
        norm === undefined ? value : g.groupNorm(value, norm, channels, { groups, epsilon, activate: true })
      const y = g.conv3x3(x, path, [channels, outputs], {
        activated: norm !== undefined,
        ...(precise && { precise }),
      })
      if (!plus) return { value: y, channels: outputs }
      const { map, shortcut } = plus
      const added = shortcut ? g.linear(map.value, shortcut, [map.channels, outputs]) : map.value
      return { value: g.add(added, y), channels: outputs }
    },
    enlarge({ value, channels }, path) {
      const enlarged = g.conv3x3(value, path, [channels, channels], { enlargedTo: g.doubled(value) })
      return { value: enlarged, channels }
    },
  }
}

/** diffusers' `ResnetBlock2D` without time: two convolutions after GroupNorm and SiLU, and a shortcut. */
export function decoderResnet<Held extends FeatureMap>(
  g: GraphBuilder,
  layers: DecoderLayers<Held>,
  x: Held,
  path: string,
  { outputs, isNormedNext }: { outputs: number; isNormedNext: boolean },
): Held {
  return g.inModule(path, () => {
    const first = { outputs, norm: `${path}.norm1`, isNormedNext: true }
    const h = layers.conv3x3(x, `${path}.conv1`, first)
    const shortcut = x.channels === outputs ? {} : { shortcut: `${path}.conv_shortcut` }
    return layers.conv3x3(h, `${path}.conv2`, {
      outputs,
      norm: `${path}.norm2`,
      plus: { map: x, ...shortcut },
      isNormedNext,
    })
  })
}
