import { resnet } from './blocks.ts'
import type { KlConfig } from './configs.ts'
import { createGraphBuilder, type Graph, type GraphBuilder } from './graph.ts'
import { FP32_PLAN, type GraphPlan } from './scheme.ts'
import type { WeightsSource } from './weights-source.ts'

// AutoencoderKL's norms have their own epsilon, not a config key (diffusers autoencoders/vae.py).
export const VAE_EPSILON = 1e-6

// Joining strips is work for one thread. Strips of 64 MB decode 5 to 8 % faster on 2 cores, but leave 5.7 % of the work to
// one thread instead of 2.8 %; with these only the widest convolutions at full size are cut, in two.
const STRIP_BYTES = 310e6
// Strips are cut for pictures of this size: as many of them, larger or smaller, make any other.
const USUAL_SIDE = 512

/**
 * The VAE decoder as one graph per resolution: `vae_mid` takes `latents` [batch, height, width, latents] already divided
 * by the scaling factor, each `vae_up_N` the `features` of the one before; the last gives `pixels`
 * [batch, height, width, 3], about -1 to 1. Batch is 1 where the plan has integer convolutions. Follows diffusers' `AutoencoderKL.decode`.
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

function buildMid({ config, weights, plan, widths }: Parts): Graph {
  const g = createGraphBuilder('vae_mid', weights, { plan, oneImage: true })
  const width = widths[0]!
  const groups = config.norm_num_groups
  const latents = g.input('latents', ['batch', 'height', 'width', config.latent_channels])
  const unpacked = config.use_post_quant_conv
    ? g.linear(latents, 'post_quant_conv', [config.latent_channels, config.latent_channels], {
        precise: true,
      })
    : latents
  const options = { inputs: width, outputs: width, groups, epsilon: VAE_EPSILON }
  let x = g.conv3x3(unpacked, 'decoder.conv_in', [config.latent_channels, width], { precise: true })
  x = resnet(g, x, 'decoder.mid_block.resnets.0', options)
  if (config.mid_block_add_attention)
    x = vaeAttention(g, x, 'decoder.mid_block.attentions.0', { width, groups })
  x = resnet(g, x, 'decoder.mid_block.resnets.1', options)
  g.output('features_out', x, ['batch', 'height', 'width', width])
  return g.graph
}

function buildUp({ config, weights, plan, widths }: Parts, index: number): Graph {
  const g = createGraphBuilder(`vae_up_${index}`, weights, { plan, oneImage: true })
  const outputs = widths[index]!
  let inputs = index === 0 ? outputs : widths[index - 1]!
  const groups = config.norm_num_groups
  const side = USUAL_SIDE / 2 ** (widths.length - 1 - index)
  const strips = stripsFor(side, Math.max(inputs, outputs))
  let x = g.input('features', ['batch', 'height', 'width', inputs])
  for (let layer = 0; layer <= config.layers_per_block; layer++) {
    x = resnet(g, x, `decoder.up_blocks.${index}.resnets.${layer}`, {
      inputs,
      outputs,
      groups,
      epsilon: VAE_EPSILON,
      strips,
    })
    inputs = outputs
  }
  if (index < widths.length - 1) {
    const path = `decoder.up_blocks.${index}.upsamplers.0.conv`
    x = g.inModule(path, () =>
      g.conv3x3(x, path, [outputs, outputs], {
        enlargedTo: g.doubled(x),
        strips: stripsFor(2 * side, outputs),
      }),
    )
    g.output('features_out', x, ['batch', 'height_out', 'width_out', outputs])
    return g.graph
  }
  x = g.groupNorm(x, 'decoder.conv_norm_out', outputs, { groups, epsilon: VAE_EPSILON, activate: true })
  const pixels = g.conv3x3(x, 'decoder.conv_out', [outputs, config.out_channels], { precise: true })
  g.output('pixels', pixels, ['batch', 'height', 'width', config.out_channels])
  return g.graph
}

/** How many strips the neighbourhoods of a square map are gathered in. */
function stripsFor(side: number, channels: number): number {
  return Math.ceil((side * side * 9 * channels) / STRIP_BYTES)
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
