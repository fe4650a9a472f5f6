import type { KlConfig } from './configs.ts'
import { createMapLayers, type DecoderLayers, decoderResnet, type FeatureMap } from './decoder-layers.ts'
import { createGraphBuilder, type Graph, type GraphBuilder } from './graph.ts'
import { FP32_PLAN, type GraphPlan } from './scheme.ts'
import { createStripLayers } from './strip-layers.ts'
import type { WeightsSource } from './weights-source.ts'

// AutoencoderKL's norms have their own epsilon, not a config key (diffusers autoencoders/vae.py).
export const VAE_EPSILON = 1e-6

/**
 * The VAE decoder as one graph per resolution: `vae_mid` takes `latents` [batch, height, width, latents] already divided
 * by the scaling factor, each `vae_up_N` the `features` of the one before, which all but the first double; the last gives
 * `pixels` [batch, height, width, 3], about -1 to 1. Where the plan works in strips, batch is 1, the graphs take what
 * `stripInputs` of `@sdcpu/diffusion` gives, too, and the features they give are [strips, pixels of a strip, width].
 * Follows diffusers' `AutoencoderKL.decode`.
 */
export function buildVaeDecoder(
  config: KlConfig,
  weights: WeightsSource,
  plan: GraphPlan = FP32_PLAN,
): Graph[] {
  const widths = config.block_out_channels.toReversed()
  const parts = { config, weights, plan, widths }
  return [buildMid(parts), ...widths.map((_, i) => buildUp(parts, i))]
}

type Parts = { config: KlConfig; weights: WeightsSource; plan: GraphPlan; widths: number[] }

function layersOf(
  g: GraphBuilder,
  { config, plan }: Parts,
  { features, isEnlarged }: { features: string; isEnlarged: boolean },
): DecoderLayers {
  const norm = { groups: config.norm_num_groups, epsilon: VAE_EPSILON }
  return plan.strips ? createStripLayers(g, features, { ...norm, isEnlarged }) : createMapLayers(g, norm)
}

function buildMid(parts: Parts): Graph {
  const { config, weights, plan, widths } = parts
  const g = createGraphBuilder('vae_mid', weights, { plan, oneImage: true })
  const width = widths[0]!
  const latents = g.input('latents', ['batch', 'height', 'width', config.latent_channels])
  const unpacked = config.use_post_quant_conv
    ? g.linear(latents, 'post_quant_conv', [config.latent_channels, config.latent_channels], {
        precise: true,
      })
    : latents
  const layers = layersOf(g, parts, { features: latents, isEnlarged: false })
  const first = g.conv3x3(unpacked, 'decoder.conv_in', [config.latent_channels, width], { precise: true })
  const resnet = (x: FeatureMap, path: string) =>
    decoderResnet(g, layers, x, path, { outputs: width, isNormedNext: false })
  let x = resnet(layers.hold(first, width), 'decoder.mid_block.resnets.0')
  if (config.mid_block_add_attention) {
    const options = { width, groups: config.norm_num_groups }
    x = layers.hold(vaeAttention(g, layers.whole(x), 'decoder.mid_block.attentions.0', options), width)
  }
  x = resnet(x, 'decoder.mid_block.resnets.1')
  layers.output('features_out', x)
  return g.graph
}

function buildUp(parts: Parts, index: number): Graph {
  const { config, weights, plan, widths } = parts
  const g = createGraphBuilder(`vae_up_${index}`, weights, { plan, oneImage: true })
  const outputs = widths[index]!
  const inputs = index === 0 ? outputs : widths[index - 1]!
  const features = g.input('features', ['batch', 'rows', 'columns', inputs])
  const layers = layersOf(g, parts, { features, isEnlarged: index > 0 })
  let x = layers.hold(features, inputs)
  if (index > 0) {
    const path = `decoder.up_blocks.${index - 1}.upsamplers.0.conv`
    x = g.inModule(path, () => layers.enlarge(x, path))
  }
  const isLast = index === widths.length - 1
  for (let layer = 0; layer <= config.layers_per_block; layer++) {
    const isNormedNext = isLast || layer < config.layers_per_block
    x = decoderResnet(g, layers, x, `decoder.up_blocks.${index}.resnets.${layer}`, { outputs, isNormedNext })
  }
  if (!isLast) {
    layers.output('features_out', x)
    return g.graph
  }
  const out = { outputs: config.out_channels, norm: 'decoder.conv_norm_out', precise: true }
  const pixels = layers.conv3x3(x, 'decoder.conv_out', out)
  g.output('pixels', layers.whole(pixels), ['batch', 'height', 'width', config.out_channels])
  return g.graph
}

/** One-head attention over all pixels. Files written before diffusers 0.18 call the projections by other names. */
export function vaeAttention(
  g: GraphBuilder,
  x: string,
  path: string,
  { width, groups }: { width: number; groups: number },
): string {
  return g.inModule(path, () => {
    const old = g.has(`${path}.query.weight`)
    const [query, key, value, out] = old
      ? ['query', 'key', 'value', 'proj_attn']
      : ['to_q', 'to_k', 'to_v', 'to_out.0']
    const tokens = g.toTokens(
      g.groupNorm(x, `${path}.group_norm`, width, { groups, epsilon: VAE_EPSILON }),
      width,
    )
    const project = (y: string, name: string) => g.linear(y, `${path}.${name}`, [width, width])
    const attended = g.attention(project(tokens, query!), project(tokens, key!), project(tokens, value!), 1)
    return g.add(x, g.reshape(project(attended, out!), g.shapeOf(x)))
  })
}
