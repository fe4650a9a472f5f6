import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openGraph, stripInputs } from '@sdcpu/diffusion'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMapLayers, type DecoderLayers, decoderResnet, type FeatureMap } from './decoder-layers.ts'
import { createGraphBuilder, type GraphBuilder } from './graph.ts'
import { encodeOnnx } from './onnx.ts'
import { FP32_PLAN, type Scheme } from './scheme.ts'
import { createStripLayers } from './strip-layers.ts'
import { randomValues, signalToNoise } from './testing/random-values.ts'
import { writeWeightPack } from './weight-pack.ts'
import type { WeightsSource } from './weights-source.ts'

const INPUTS = 24
const OUTPUTS = 16
const NORM = { groups: 4, epsilon: 1e-6 }

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-strips-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const SHAPES: Record<string, number[]> = {
  'norm1.weight': [INPUTS],
  'norm1.bias': [INPUTS],
  'conv1.weight': [OUTPUTS, INPUTS, 3, 3],
  'conv1.bias': [OUTPUTS],
  'norm2.weight': [OUTPUTS],
  'norm2.bias': [OUTPUTS],
  'conv2.weight': [OUTPUTS, OUTPUTS, 3, 3],
  'conv2.bias': [OUTPUTS],
  'conv_shortcut.weight': [OUTPUTS, INPUTS, 1, 1],
  'conv_shortcut.bias': [OUTPUTS],
  'up.weight': [INPUTS, INPUTS, 3, 3],
  'up.bias': [INPUTS],
  'out.weight': [1, OUTPUTS, 3, 3],
  'out.bias': [1],
}
const SAME = Object.keys(SHAPES).filter((name) => /^(norm|conv)\d/.test(name))
const shapes = Object.fromEntries([
  ...Object.entries(SHAPES).map(([name, shape]) => [`block.${name}`, shape]),
  // As many channels after each convolution as before it.
  ...SAME.map((name) => [`same.${name}`, SHAPES[name.replace(/\d/, '1')]!.with(0, INPUTS)]),
]) as Record<string, number[]>
const weights: WeightsSource = {
  names: () => Object.keys(shapes),
  labelOf: () => 'random',
  shapeOf: (name) => shapes[name],
  read: async (name) =>
    randomValues(
      shapes[name]!.reduce((a, b) => a * b, 1),
      name.length,
    ),
  close: async () => {},
}

type Build = (g: GraphBuilder, layers: DecoderLayers, x: FeatureMap) => FeatureMap
type Setting = {
  scheme: Scheme
  /** Layers in float32 whatever the scheme. */
  inFloat?: string[]
  size: [number, number]
  stripRows?: number
  isEnlarged: boolean
}

let count = 0

/** Runs layers on a map of [1, ...size, INPUTS]; on the whole map where `stripRows` is absent. */
async function run(build: Build, { scheme, inFloat = [], size, stripRows, isEnlarged }: Setting) {
  const name = `layers-${count++}`
  const inStrips = stripRows !== undefined
  const schemeOf = (layer: string) => (inFloat.includes(layer) ? 'fp32' : scheme)
  const plan = inStrips ? { schemeOf, weightLimit: 127 as const } : FP32_PLAN
  const g = createGraphBuilder(name, weights, { plan, oneImage: true })
  const features = g.input('features', ['batch', 'rows', 'columns', INPUTS])
  const layers: DecoderLayers = inStrips
    ? createStripLayers(g, features, { ...NORM, isEnlarged })
    : createMapLayers(g, NORM)
  const y = build(g, layers, layers.hold(features, INPUTS))
  g.output('y', layers.whole(y), ['batch', 'height', 'width', y.channels])
  const location = `${name}.weights`
  const pack = await writeWeightPack(join(folder, location), location, g.graph.weights, weights)
  const graph = { ...g.graph, initializers: [...g.graph.initializers, ...pack.initializers] }
  await writeFile(join(folder, `${name}.onnx`), encodeOnnx(graph, 'test'))
  const session = await openGraph(folder, name, { threads: 1 })
  const dims = [1, ...size, INPUTS]
  // Means far from zero, as feature maps have them.
  const data = randomValues(size[0] * size[1] * INPUTS, 5).map((value, i) => 3 * value + (i % INPUTS))
  const places = stripInputs({ dims }, { stripBytes: (stripRows ?? 1) * size[1] * INPUTS * 4 })
  const outputs = await session.run(Object.assign(places, { features: { data, dims } }))
  await session.close()
  return outputs.y!
}

const resnet: Build = (g, layers, x) =>
  decoderResnet(g, layers, x, 'block', { outputs: OUTPUTS, isNormedNext: false })

const BLOCKS: Record<string, { build: Build; isEnlarged: boolean }> = {
  'resnet with a shortcut': { build: resnet, isEnlarged: false },
  'resnet after its map was enlarged': {
    build: (g, layers, x) => resnet(g, layers, layers.enlarge(x, 'block.up')),
    isEnlarged: true,
  },
  'resnet without a shortcut after its map was enlarged': {
    build: (g, layers, x) =>
      decoderResnet(g, layers, layers.enlarge(x, 'block.up'), 'same', {
        outputs: INPUTS,
        isNormedNext: false,
      }),
    isEnlarged: true,
  },
  'resnet, and a convolution that is always float32': {
    build: (g, layers, x) =>
      layers.conv3x3(resnet(g, layers, x), 'block.conv2', {
        outputs: OUTPUTS,
        norm: 'block.norm2',
        precise: true,
      }),
    isEnlarged: false,
  },
  'resnet, and a convolution to few channels that is always float32': {
    build: (g, layers, x) =>
      layers.conv3x3(resnet(g, layers, x), 'block.out', { outputs: 1, norm: 'block.norm2', precise: true }),
    isEnlarged: false,
  },
}
const SIZES: [number, number][] = [
  [6, 5],
  [7, 3],
]

describe.each(Object.entries(BLOCKS))('a %s', (_name, { build, isEnlarged }) => {
  describe.each(SIZES)('on a map of %i x %i', (...size) => {
    it.each([1, 2, 100])(
      'is what whole maps give in float32, in strips of about %i rows',
      async (stripRows) => {
        const whole = await run(build, { scheme: 'fp32', size, isEnlarged })
        const strips = await run(build, { scheme: 'fp32', size, stripRows, isEnlarged })
        expect(strips.dims).toEqual(whole.dims)
        expect(signalToNoise(whole.data, strips.data)).toBeGreaterThan(100)
      },
    )

    it.each([
      ['int8', 28],
      ['int8x2', 32],
      ['int8x3', 60],
    ] as const)('computes as %s to %i dB', async (scheme, decibels) => {
      const exact = await run(build, { scheme: 'fp32', size, isEnlarged })
      for (const stripRows of [1, 2, 100]) {
        const strips = await run(build, { scheme, size, stripRows, isEnlarged })
        expect(signalToNoise(exact.data, strips.data)).toBeGreaterThan(decibels)
      }
    })
  })
})

it.each([
  ['the convolution that enlarges', ['block.up']],
  ['what reads the enlarged map', ['block.conv1', 'block.conv_shortcut']],
])('computes %s in float32 where the plan says so', async (_, inFloat) => {
  const { build, isEnlarged } = BLOCKS['resnet after its map was enlarged']!
  const setting = { size: [6, 5] as [number, number], isEnlarged }
  const exact = await run(build, { ...setting, scheme: 'fp32' })
  const strips = await run(build, { ...setting, scheme: 'int8x3', inFloat, stripRows: 4 })
  expect(signalToNoise(exact.data, strips.data)).toBeGreaterThan(60)
})

it.each(['fp32', 'int8'] as const)('puts on record that its layers compute as %s', (scheme) => {
  const plan = { schemeOf: () => scheme, weightLimit: 127 as const }
  const g = createGraphBuilder('recorded', weights, { plan, oneImage: true })
  const features = g.input('features', ['batch', 'rows', 'columns', INPUTS])
  const layers = createStripLayers(g, features, { ...NORM, isEnlarged: false })
  resnet(g, layers, layers.hold(features, INPUTS))
  const names = ['block.conv1', 'block.conv2', 'block.conv_shortcut']
  expect(g.graph.layers.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual(
    names.map((name) => ({ name, scheme })),
  )
})
