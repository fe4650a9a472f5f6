import type { TinyConfig } from './configs.ts'
import { createGraphBuilder, type Graph, type GraphBuilder } from './graph.ts'
import type { WeightsSource } from './weights-source.ts'

/**
 * The decoder of diffusers' `AutoencoderTiny` (TAESDXL) as one graph, `tiny_decoder`: `latents`
 * [batch, height, width, latents] to `pixels` [batch, height · 8, width · 8, 3], about -1 to 1. Follows `DecoderTiny`.
 */
export function buildTinyDecoder(config: TinyConfig, weights: WeightsSource): Graph {
  const g = createGraphBuilder('tiny_decoder', weights)
  const { latent_channels: latents, num_decoder_blocks: stages, out_channels: colours } = config
  const width = config.decoder_block_out_channels[0]!
  const layer = countLayers('decoder')
  const input = g.input('latents', ['batch', 'height', 'width', latents])
  const three = g.scalar(3) // latents are squeezed softly into -3 to 3, as TAESD's own are
  let x = g.multiply(g.node('Tanh', [g.node('Div', [input, three])]), three)
  x = g.node('Relu', [g.conv3x3(x, layer(), [latents, width])])
  layer() // the activation has a number too
  stages.forEach((blocks, stage) => {
    for (let block = 0; block < blocks; block++) x = tinyBlock(g, x, layer(), width)
    const isLast = stage === stages.length - 1
    if (!isLast) layer() // so has the upsampling
    x = g.conv3x3(x, layer(), [width, isLast ? colours : width], {
      bias: isLast,
      ...(!isLast && { enlargedTo: g.doubled(x) }),
    })
  })
  const pixels = g.node('Sub', [g.multiply(x, g.scalar(2)), g.scalar(1)])
  g.output('pixels', pixels, ['batch', 'height_out', 'width_out', colours])
  return g.graph
}

/**
 * Its encoder as one graph, `tiny_encoder`: `pixels` [batch, height, width, 3], -1 to 1, to `latents_out`
 * [batch, height / 8, width / 8, latents], with no spread to draw from. Follows `EncoderTiny`.
 */
export function buildTinyEncoder(config: TinyConfig, weights: WeightsSource): Graph {
  const g = createGraphBuilder('tiny_encoder', weights)
  const { latent_channels: latents, num_encoder_blocks: stages, in_channels: colours } = config
  const width = config.encoder_block_out_channels[0]!
  const layer = countLayers('encoder')
  const input = g.input('pixels', ['batch', 'height', 'width', colours])
  let x = g.node('Div', [g.add(input, g.scalar(1)), g.scalar(2)])
  stages.forEach((blocks, stage) => {
    x =
      stage === 0
        ? g.conv3x3(x, layer(), [colours, width])
        : g.conv3x3(x, layer(), [width, width], { stride: 2, bias: false })
    for (let block = 0; block < blocks; block++) x = tinyBlock(g, x, layer(), width)
  })
  x = g.conv3x3(x, layer(), [width, latents])
  g.output('latents_out', x, ['batch', 'height_out', 'width_out', latents])
  return g.graph
}

/** diffusers numbers all layers of a half in a row. */
function countLayers(half: string): () => string {
  let next = 0
  return () => `${half}.layers.${next++}`
}

/** diffusers' `AutoencoderTinyBlock`. */
function tinyBlock(g: GraphBuilder, x: string, path: string, width: number): string {
  return g.inModule(path, () => {
    const conv = (y: string, index: number) => g.conv3x3(y, `${path}.conv.${index}`, [width, width])
    const y = conv(g.node('Relu', [conv(g.node('Relu', [conv(x, 0)]), 2)]), 4)
    return g.node('Relu', [g.add(y, x)])
  })
}
