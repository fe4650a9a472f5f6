import { resnet } from './blocks.ts'
import type { KlConfig } from './configs.ts'
import { createGraphBuilder, type Graph } from './graph.ts'
import { VAE_EPSILON, vaeAttention } from './vae-decoder.ts'
import type { WeightsSource } from './weights-source.ts'

/**
 * The VAE encoder as one graph per resolution: `vae_down_0` takes `pixels` [batch, height, width, 3], -1 to 1, each other
 * `vae_down_N` and at last `vae_moments` the `features` of the one before. It gives `moments`
 * [batch, height, width, 2 · latents]: the latents' means, then the logarithms of their variances, not yet scaled.
 * Follows diffusers' `AutoencoderKL.encode`.
 */
export function buildVaeEncoder(config: KlConfig, weights: WeightsSource): Graph[] {
  const widths = config.block_out_channels
  return [...widths.map((_, i) => buildDown(config, weights, i)), buildMoments(config, weights)]
}

function buildDown(config: KlConfig, weights: WeightsSource, index: number): Graph {
  const g = createGraphBuilder(`vae_down_${index}`, weights)
  const widths = config.block_out_channels
  const outputs = widths[index]!
  let inputs = widths[Math.max(index - 1, 0)]!
  let x =
    index === 0
      ? g.conv3x3(g.input('pixels', ['batch', 'height', 'width', config.in_channels]), 'encoder.conv_in', [
          config.in_channels,
          inputs,
        ])
      : g.input('features', ['batch', 'height', 'width', inputs])
  for (let layer = 0; layer < config.layers_per_block; layer++) {
    x = resnet(g, x, `encoder.down_blocks.${index}.resnets.${layer}`, {
      inputs,
      outputs,
      groups: config.norm_num_groups,
      epsilon: VAE_EPSILON,
    })
    inputs = outputs
  }
  if (index < widths.length - 1) {
    // Padded below and on the right alone, as the VAE was trained.
    const halve = { stride: 2, pads: [0, 0, 1, 1] }
    x = g.conv3x3(x, `encoder.down_blocks.${index}.downsamplers.0.conv`, [outputs, outputs], halve)
  }
  g.output('features_out', x, ['batch', 'height_out', 'width_out', outputs])
  return g.graph
}

function buildMoments(config: KlConfig, weights: WeightsSource): Graph {
  const g = createGraphBuilder('vae_moments', weights)
  const width = config.block_out_channels.at(-1)!
  const groups = config.norm_num_groups
  const options = { inputs: width, outputs: width, groups, epsilon: VAE_EPSILON }
  const moments = 2 * config.latent_channels
  let x = g.input('features', ['batch', 'height', 'width', width])
  x = resnet(g, x, 'encoder.mid_block.resnets.0', options)
  if (config.mid_block_add_attention)
    x = vaeAttention(g, x, 'encoder.mid_block.attentions.0', { width, groups })
  x = resnet(g, x, 'encoder.mid_block.resnets.1', options)
  x = g.groupNorm(x, 'encoder.conv_norm_out', width, { groups, epsilon: VAE_EPSILON, activate: true })
  x = g.conv3x3(x, 'encoder.conv_out', [width, moments])
  if (config.use_quant_conv) x = g.linear(x, 'quant_conv', [moments, moments])
  g.output('moments', x, ['batch', 'height', 'width', moments])
  return g.graph
}
