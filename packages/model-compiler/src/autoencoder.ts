import type { VaeConfig } from './configs.ts'
import type { Graph } from './graph.ts'
import { FP32_PLAN, type GraphPlan } from './scheme.ts'
import { buildTinyDecoder, buildTinyEncoder } from './tiny-autoencoder.ts'
import { buildVaeDecoder } from './vae-decoder.ts'
import { buildVaeEncoder } from './vae-encoder.ts'
import type { WeightsSource } from './weights-source.ts'

/** A VAE's graphs in running order. The plan is the decoder's, unless it is tiny; the rest is float32. A file without an encoder's weights has none: it draws, but not from pictures. */
export function buildAutoencoder(
  config: VaeConfig,
  weights: WeightsSource,
  plan: GraphPlan = FP32_PLAN,
): { decoder: Graph[]; encoder: Graph[] } {
  const hasEncoder = weights.names().some((name) => name.startsWith('encoder.'))
  if (config._class_name === 'AutoencoderTiny')
    return {
      decoder: [buildTinyDecoder(config, weights)],
      encoder: hasEncoder ? [buildTinyEncoder(config, weights)] : [],
    }
  return {
    decoder: buildVaeDecoder(config, weights, plan),
    encoder: hasEncoder ? buildVaeEncoder(config, weights) : [],
  }
}

/** The manifest's numbers of a VAE. */
export function describeAutoencoder(config: VaeConfig): { scalingFactor: number; spatialFactor: number } {
  const levels =
    config._class_name === 'AutoencoderTiny'
      ? config.num_decoder_blocks.length
      : config.block_out_channels.length
  return { scalingFactor: config.scaling_factor, spatialFactor: 2 ** (levels - 1) }
}
