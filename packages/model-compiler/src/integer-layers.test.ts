import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openGraph } from '@sdcpu/diffusion'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGraphBuilder, type GraphBuilder } from './graph.ts'
import { encodeOnnx } from './onnx.ts'
import { SCHEMES, type Scheme, type WeightLimit } from './scheme.ts'
import { randomValues, signalToNoise } from './testing/random-values.ts'
import { writeWeightPack } from './weight-pack.ts'
import type { WeightsSource } from './weights-source.ts'

const INPUTS = 24
const OUTPUTS = 20
// Odd, so that a stride of 2 rounds up, and an enlarged map is one short of twice as large.
const [HEIGHT, WIDTH] = [7, 5]

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-integer-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const SHAPES: Record<string, number[]> = {
  'conv.weight': [OUTPUTS, INPUTS, 3, 3],
  'conv.bias': [OUTPUTS],
  'linear.weight': [OUTPUTS, INPUTS],
  'linear.bias': [OUTPUTS],
}
const weights: WeightsSource = {
  names: () => Object.keys(SHAPES),
  labelOf: () => 'random',
  shapeOf: (name) => SHAPES[name],
  read: async (name) =>
    randomValues(
      SHAPES[name]!.reduce((a, b) => a * b, 1),
      name.length,
    ),
  close: async () => {},
}

type Layer = (g: GraphBuilder, x: string) => string
type Options = { limit?: WeightLimit; oneImage?: boolean; range?: number }
let count = 0

/** Runs one layer in one scheme on a map [batch, HEIGHT, WIDTH, INPUTS]. */
async function run(
  layer: Layer,
  scheme: Scheme,
  map: Float32Array,
  { limit = 127, oneImage, range }: Options = {},
) {
  const name = `layer-${count++}`
  const plan = { schemeOf: () => scheme, rangeOf: () => range, weightLimit: limit }
  const g = createGraphBuilder(name, weights, { plan, oneImage })
  const x = g.input('x', ['batch', 'height', 'width', INPUTS])
  g.output('y', layer(g, x), ['batch', 'rows', 'columns', OUTPUTS])
  const location = `${name}.weights`
  const pack = await writeWeightPack(join(folder, location), location, g.graph.weights, weights)
  const graph = { ...g.graph, initializers: [...g.graph.initializers, ...pack.initializers] }
  await writeFile(join(folder, `${name}.onnx`), encodeOnnx(graph, 'test'))
  const session = await openGraph(folder, name, { threads: 1 })
  const dims = [map.length / (HEIGHT * WIDTH * INPUTS), HEIGHT, WIDTH, INPUTS]
  const { y } = await session.run({ x: { data: map, dims } })
  return y!
}

const silu = (values: Float32Array) => values.map((value) => value / (1 + Math.exp(-value)))
const PIXELS = HEIGHT * WIDTH * INPUTS
const map = randomValues(PIXELS, 5).map((value) => 3 * value)
/** A few channels twenty times as large as the others, as trained transformers have them. */
const outliers = map.map((value, i) => (i % INPUTS < 2 ? 20 * value : value))

const LAYERS: Record<string, { layer: Layer; x: Float32Array; options?: Options }> = {
  linear: { layer: (g, x) => g.linear(x, 'linear', [INPUTS, OUTPUTS]), x: map },
  convolution: { layer: (g, x) => g.conv3x3(x, 'conv', [INPUTS, OUTPUTS]), x: map },
  'convolution after SiLU': {
    layer: (g, x) => g.conv3x3(x, 'conv', [INPUTS, OUTPUTS], { activated: true }),
    x: silu(map),
  },
  'convolution of stride 2': {
    layer: (g, x) => g.conv3x3(x, 'conv', [INPUTS, OUTPUTS], { stride: 2 }),
    x: map,
  },
  'convolution of an enlarged map': {
    layer: (g, x) => g.conv3x3(x, 'conv', [INPUTS, OUTPUTS], { enlargedTo: g.doubled(x) }),
    x: map,
  },
  'convolution of one image after SiLU': {
    layer: (g, x) => g.conv3x3(x, 'conv', [INPUTS, OUTPUTS], { activated: true, enlargedTo: g.doubled(x) }),
    x: silu(map),
    options: { oneImage: true },
  },
}

// In dB; the first is what 8-bit activations and weights can reach, the second what 8-bit weights can, the third
// what both can with 7-bit weights.
const EXPECTED = { int8: 34, int8x2: 37, int8x3: 70 }

describe.each(Object.entries(LAYERS))('a %s', (_name, { layer, x, options }) => {
  it.each(Object.entries(EXPECTED) as [Scheme, number][])(
    'as %s is at least %i dB from float32',
    async (scheme, least) => {
      const exact = await run(layer, 'fp32', x, options)
      const integer = await run(layer, scheme, x, options)
      expect(integer.dims).toEqual(exact.dims)
      const found = signalToNoise(exact.data, integer.data)
      expect(found).toBeGreaterThan(least)
      // Were it float32 all the same, this would be 120 or more.
      expect(found).toBeLessThan(110)
    },
  )
})

it('loses what lies beside outliers with one term and keeps it with three', async () => {
  const { layer } = LAYERS.linear!
  const exact = await run(layer, 'fp32', outliers)
  // What the outliers carry hides the error of the others; without it one term would look fine.
  const small = await run(
    layer,
    'fp32',
    outliers.map((value, i) => (i % INPUTS < 2 ? 0 : value)),
  )
  const error = async (scheme: Scheme) => {
    const { data } = await run(layer, scheme, outliers)
    return signalToNoise(
      small.data,
      small.data.map((value, i) => value + data[i]! - exact.data[i]!),
    )
  }
  const [one, three] = [await error('int8'), await error('int8x3')]
  expect(one).toBeLessThan(28)
  expect(three).toBeGreaterThan(50)
})

describe('a linear layer with a constant scale', () => {
  const { layer } = LAYERS.linear!
  const most = map.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)
  const constant = (x: Float32Array, range: number) => run(layer, 'int8-static', x, { range })
  const decibels = async (x: Float32Array, range: number) =>
    signalToNoise((await run(layer, 'fp32', x)).data, (await constant(x, range)).data)

  it('is 34 dB or more from float32 where its range is that of its activations, and loses 6 dB with each doubling', async () => {
    const exact = await decibels(map, most)
    expect(exact).toBeGreaterThan(34)
    expect(exact - (await decibels(map, 8 * most))).toBeGreaterThan(12)
  })

  it('cuts off what lies beyond', async () => {
    const range = most / 2
    // An unsigned byte has one step more below its middle than above.
    const cut = map.map((value) => Math.min(Math.max(value, (-128 / 127) * range), range))
    expect((await constant(map, range)).data).toEqual((await constant(cut, range)).data)
    expect(await decibels(cut, range)).toBeGreaterThan(34)
  })

  it('gives its bias where the range is nothing', async () => {
    const nothing = new Float32Array(PIXELS)
    expect((await constant(nothing, 0)).data).toEqual((await run(layer, 'fp32', nothing)).data)
  })

  it('needs a range, and is for linear layers', async () => {
    await expect(run(layer, 'int8-static', map)).rejects.toThrow(
      'linear is planned as int8-static without a range',
    )
    await expect(run(LAYERS.convolution!.layer, 'int8-static', map, { range: 1 })).rejects.toThrow(
      'conv is planned as int8-static, which is for rows of a LayerNorm',
    )
  })
})

it.each(SCHEMES)('gives an image of a batch the very values it has alone, as %s', async (scheme) => {
  // The second image is far larger: a scale of the batch would wipe out the first.
  const batch = new Float32Array(3 * PIXELS)
  const images = [silu(map), silu(outliers), new Float32Array(PIXELS)]
  images.forEach((image, i) => {
    batch.set(image, i * PIXELS)
  })
  const layers = [LAYERS.linear!.layer, LAYERS['convolution after SiLU']!.layer]
  for (const layer of scheme === 'int8-static' ? layers.slice(0, 1) : layers) {
    const together = await run(layer, scheme, batch, { range: 30 })
    const size = together.data.length / images.length
    for (const [i, image] of images.entries()) {
      const alone = await run(layer, scheme, image, { range: 30 })
      expect(together.data.subarray(i * size, (i + 1) * size)).toEqual(alone.data)
    }
  }
})

it('loses 6 dB of the weights to 7 bits', async () => {
  const { layer } = LAYERS.convolution!
  const exact = await run(layer, 'fp32', map)
  for (const [scheme, least] of Object.entries({ int8: 31, int8x2: 31, int8x3: 66 }))
    expect(
      signalToNoise(exact.data, (await run(layer, scheme as Scheme, map, { limit: 64 })).data),
    ).toBeGreaterThan(least)
})
