import { resnet } from './blocks.ts'
import { CompileError } from './compile-error.ts'
import { forBlock, type UnetConfig } from './configs.ts'
import { createGraphBuilder, type Graph, type GraphBuilder } from './graph.ts'
import { FP32_PLAN, type GraphPlan } from './scheme.ts'
import type { WeightsSource } from './weights-source.ts'

// Transformer2DModel's own GroupNorm ignores norm_eps (diffusers transformer_2d.py).
const TRANSFORMER_GROUP_NORM_EPSILON = 1e-6

type Map = { value: string; channels: number }

/** Names of the feature maps the down segment hands to the up segment, first made first. */
const skipName = (index: number) => `skip_${index}`

/** The denoiser: what depends on the prompt alone, and the three graphs of a step in running order. */
export type UnetGraphs = { context: Graph; steps: [Graph, Graph, Graph] }

/**
 * The denoiser as a graph run once a prompt and three run in order each step; between them a caller can stop.
 * - `unet_context`: `context` [batch, tokens, cross] → keys and values of every cross-attention, [batch, tokens,
 *   channels], named like the layers that make them: inputs of the graphs below
 * - `unet_down`: `sample` [batch, height, width, latents], `timestep_sinusoid` [batch, model width], `pooled_and_sizes`
 *   [batch, projection] → `time` [batch, 1, 1, embedding], `features`, `skip_0` …
 * - `unet_mid`: `features`, `time` → `features_out`
 * - `unet_up`: `features`, `time`, `skip_0` … → `prediction` [batch, height, width, latents]
 * Follows diffusers' `UNet2DConditionModel` with `addition_embed_type` "text_time".
 * @throws CompileError where the weights and the config do not describe the same network
 */
export function buildUnet(
  config: UnetConfig,
  weights: WeightsSource,
  plan: GraphPlan = FP32_PLAN,
): UnetGraphs {
  const context = createGraphBuilder('unet_context', weights, { plan })
  const prompt = context.input('context', ['batch', 'tokens', [config.cross_attention_dim].flat()[0]!])
  /** Declares keys or values that `unet_context` computes as an input of the graph that attends to them. */
  const project: Project = (g, layer, [width, channels]) => {
    const dims = ['batch', 'tokens', channels]
    context.output(layer, context.linear(prompt, layer, [width, channels], { bias: false }), dims)
    return g.input(layer, dims)
  }
  const parts: Parts = { config, weights, plan, project }
  const down = buildDown(parts)
  const steps: UnetGraphs['steps'] = [down.graph, buildMid(parts), buildUp(parts, down.skips)]
  refuseUnused([context.graph, ...steps], weights)
  return { context: context.graph, steps }
}

type Project = (g: GraphBuilder, layer: string, shape: [number, number]) => string
type Parts = { config: UnetConfig; weights: WeightsSource; plan: GraphPlan; project: Project }

/** A tensor no graph reads belongs to something the config does not say; without it the pictures would be wrong. */
function refuseUnused(graphs: Graph[], weights: WeightsSource): void {
  const used = new Set(graphs.flatMap((graph) => graph.weights.map(({ source }) => source)))
  const [first, ...others] = weights.names().filter((name) => !used.has(name))
  if (first)
    throw new CompileError(
      `${weights.labelOf(first)}: tensor ${first}${others.length > 0 ? ` and ${others.length} others` : ''} have no place in the network that unet/config.json describes`,
    )
}

function buildDown({ config, weights, plan, project }: Parts): { graph: Graph; skips: number[] } {
  const g = createGraphBuilder('unet_down', weights, { plan })
  const sample = g.input('sample', ['batch', 'height', 'width', config.in_channels])
  const time = timeEmbedding(g, config)
  const first = config.block_out_channels[0]!
  let x: Map = {
    value: g.conv3x3(sample, 'conv_in', [config.in_channels, first], { precise: true }),
    channels: first,
  }
  const skips = [x]
  config.down_block_types.forEach((type, i) => {
    const channels = config.block_out_channels[i]!
    for (let j = 0; j < forBlock(config.layers_per_block, i); j++) {
      x = block(g, x, `down_blocks.${i}`, {
        config,
        index: i,
        layer: j,
        channels,
        time,
        project,
        cross: type.startsWith('Cross'),
      })
      skips.push(x)
    }
    if (i < config.block_out_channels.length - 1) {
      const path = `down_blocks.${i}.downsamplers.0.conv`
      x = {
        value: g.inModule(path, () => g.conv3x3(x.value, path, [channels, channels], { stride: 2 })),
        channels,
      }
      skips.push(x)
    }
  })
  g.output('time', time, ['batch', 1, 1, embeddingWidth(config)])
  g.output('features', x.value, ['batch', 'rows', 'columns', x.channels])
  skips.forEach((skip, i) => {
    g.output(skipName(i), skip.value, ['batch', `rows_${i}`, `columns_${i}`, skip.channels])
  })
  return { graph: g.graph, skips: skips.map((skip) => skip.channels) }
}

function buildMid({ config, weights, plan, project }: Parts): Graph {
  const g = createGraphBuilder('unet_mid', weights, { plan })
  const channels = config.block_out_channels.at(-1)!
  const index = config.block_out_channels.length - 1
  const features = g.input('features', ['batch', 'rows', 'columns', channels])
  const time = timeInput(g, config)
  const options = { config, index, channels, time, project }
  let x: Map = { value: features, channels }
  x = block(g, x, 'mid_block', { ...options, layer: 0, cross: true })
  x = block(g, x, 'mid_block', { ...options, layer: 1, cross: false })
  g.output('features_out', x.value, ['batch', 'rows', 'columns', channels])
  return g.graph
}

function buildUp({ config, weights, plan, project }: Parts, skipChannels: number[]): Graph {
  const g = createGraphBuilder('unet_up', weights, { plan })
  const last = config.block_out_channels.length - 1
  const bottom = config.block_out_channels[last]!
  let x: Map = { value: g.input('features', ['batch', 'rows', 'columns', bottom]), channels: bottom }
  const time = timeInput(g, config)
  const skips = skipChannels.map(
    (channels, i): Map => ({
      value: g.input(skipName(i), ['batch', `rows_${i}`, `columns_${i}`, channels]),
      channels,
    }),
  )
  config.up_block_types.forEach((type, i) => {
    const index = last - i
    const channels = config.block_out_channels[index]!
    for (let j = 0; j <= forBlock(config.layers_per_block, index); j++) {
      const skip = skips.pop()!
      x = { value: g.concatChannels(x.value, skip.value), channels: x.channels + skip.channels }
      x = block(g, x, `up_blocks.${i}`, {
        config,
        index,
        layer: j,
        channels,
        time,
        project,
        cross: type.startsWith('Cross'),
      })
    }
    if (i < last) {
      const path = `up_blocks.${i}.upsamplers.0.conv`
      // The next map's own size, not twice this one: at odd sizes the way down rounded up.
      const enlargedTo = g.sizeOf(skips.at(-1)!.value)
      const value = g.inModule(path, () => g.conv3x3(x.value, path, [channels, channels], { enlargedTo }))
      x = { value, channels }
    }
  })
  const normed = g.groupNorm(x.value, 'conv_norm_out', x.channels, {
    groups: config.norm_num_groups,
    epsilon: config.norm_eps,
    activate: true,
  })
  const prediction = g.conv3x3(normed, 'conv_out', [x.channels, config.out_channels], { precise: true })
  g.output('prediction', prediction, ['batch', 'height', 'width', config.out_channels])
  return g.graph
}

const embeddingWidth = (config: UnetConfig) => config.time_embedding_dim ?? 4 * config.block_out_channels[0]!

function timeInput(g: GraphBuilder, config: UnetConfig): string {
  return g.input('time', ['batch', 1, 1, embeddingWidth(config)])
}

/** SiLU of the time embedding, shaped to be added to a map: every block begins by activating it, so it is done once. */
function timeEmbedding(g: GraphBuilder, config: UnetConfig): string {
  const width = embeddingWidth(config)
  const mlp = (x: string, source: string, inputs: number) =>
    g.linear(
      g.silu(g.linear(x, `${source}.linear_1`, [inputs, width], { precise: true })),
      `${source}.linear_2`,
      [width, width],
      { precise: true },
    )
  const sinusoid = g.input('timestep_sinusoid', ['batch', config.block_out_channels[0]!])
  const added = g.input('pooled_and_sizes', ['batch', config.projection_class_embeddings_input_dim])
  const embedding = g.add(
    mlp(sinusoid, 'time_embedding', config.block_out_channels[0]!),
    mlp(added, 'add_embedding', config.projection_class_embeddings_input_dim),
  )
  return g.reshape(g.silu(embedding), g.ints(-1, 1, 1, width))
}

type Block = {
  config: UnetConfig
  /** Resolution the block works at: index into `block_out_channels`. */
  index: number
  layer: number
  channels: number
  time: string
  project: Project
  cross: boolean
}

/** One resnet and, in cross-attention blocks, the transformer that follows it. */
function block(g: GraphBuilder, x: Map, path: string, options: Block): Map {
  const { config, layer, channels, time, cross } = options
  const value = resnet(g, x.value, `${path}.resnets.${layer}`, {
    inputs: x.channels,
    outputs: channels,
    groups: config.norm_num_groups,
    epsilon: config.norm_eps,
    time: { embedding: time, width: embeddingWidth(config) },
  })
  return { value: cross ? transformer(g, value, `${path}.attentions.${layer}`, options) : value, channels }
}

/** diffusers' `Transformer2DModel`: tokens of the map through transformer blocks, added back to the map. */
function transformer(g: GraphBuilder, x: string, path: string, options: Block): string {
  const { config, index, channels } = options
  return g.inModule(path, () => {
    const normed = g.groupNorm(x, `${path}.norm`, channels, {
      groups: config.norm_num_groups,
      epsilon: TRANSFORMER_GROUP_NORM_EPSILON,
    })
    let h = g.linear(g.toTokens(normed, channels), `${path}.proj_in`, [channels, channels])
    const layers = forBlock(config.transformer_layers_per_block, index)
    for (let i = 0; i < layers; i++) h = transformerBlock(g, h, `${path}.transformer_blocks.${i}`, options)
    h = g.linear(h, `${path}.proj_out`, [channels, channels])
    return g.add(g.reshape(h, g.shapeOf(x)), x)
  })
}

function transformerBlock(g: GraphBuilder, x: string, path: string, options: Block): string {
  const { config, index, channels, project } = options
  const heads = forBlock(config.num_attention_heads ?? config.attention_head_dim, index)
  const cross = forBlock(config.cross_attention_dim, index)
  const own = (y: string, layer: string) => g.linear(y, layer, [channels, channels], { bias: false })
  const prompt = (layer: string) => project(g, layer, [cross, channels])
  const attend = (name: string, queries: string, keysOrValues: (layer: string) => string) => {
    const layer = `${path}.${name}`
    const attended = g.attention(
      own(queries, `${layer}.to_q`),
      keysOrValues(`${layer}.to_k`),
      keysOrValues(`${layer}.to_v`),
      heads,
    )
    return g.linear(attended, `${layer}.to_out.0`, [channels, channels])
  }
  return g.inModule(path, () => {
    const first = g.layerNorm(x, `${path}.norm1`, channels)
    let h = g.add(
      x,
      attend('attn1', first, (layer) => own(first, layer)),
    )
    h = g.add(h, attend('attn2', g.layerNorm(h, `${path}.norm2`, channels), prompt))
    return g.add(h, feedForward(g, g.layerNorm(h, `${path}.norm3`, channels), `${path}.ff.net`, channels))
  })
}

/** GEGLU: the halves of one source matrix become two products, because splitting their common result copies it. */
function feedForward(g: GraphBuilder, x: string, path: string, channels: number): string {
  const inner = 4 * channels
  const half = (rows: [number, number]) => g.linear(x, `${path}.0.proj`, [channels, 2 * inner], { rows })
  const gated = g.multiply(half([0, inner]), g.gelu(half([inner, 2 * inner])))
  return g.linear(gated, `${path}.2`, [inner, channels])
}
