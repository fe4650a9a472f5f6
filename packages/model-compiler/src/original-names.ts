/** A module's (or tensor's) name in the original SDXL layout, and in diffusers'. */
export type NamePair = { original: string; diffusers: string }

/** Translates the start of a dotted name by the longest pair that fits whole parts of it. */
export function translateName(
  name: string,
  pairs: Map<string, string[]>,
): { name: string; all: string[] } | undefined {
  for (let end = name.length; end > 0; end = name.lastIndexOf('.', end - 1)) {
    const found = pairs.get(name.slice(0, end))
    if (found) {
      const all = found.map((start) => start + name.slice(end))
      return { name: all[0]!, all }
    }
  }
  return undefined
}

/** Pairs to look up by one side; a name may have several on the other. */
export function lookUpBy(pairs: NamePair[], side: keyof NamePair): Map<string, string[]> {
  const other = side === 'original' ? 'diffusers' : 'original'
  const result = new Map<string, string[]>()
  for (const pair of pairs) result.set(pair[side], [...(result.get(pair[side]) ?? []), pair[other]])
  return result
}

const pair = (original: string, diffusers: string): NamePair => ({ original, diffusers })

const UNET_ENDS = [
  pair('time_embed.0', 'time_embedding.linear_1'),
  pair('time_embed.2', 'time_embedding.linear_2'),
  pair('label_emb.0.0', 'add_embedding.linear_1'),
  pair('label_emb.0.2', 'add_embedding.linear_2'),
  pair('input_blocks.0.0', 'conv_in'),
  pair('out.0', 'conv_norm_out'),
  pair('out.2', 'conv_out'),
]

const RESNET = [
  pair('in_layers.0', 'norm1'),
  pair('in_layers.2', 'conv1'),
  pair('emb_layers.1', 'time_emb_proj'),
  pair('out_layers.0', 'norm2'),
  pair('out_layers.3', 'conv2'),
  pair('skip_connection', 'conv_shortcut'),
]

/**
 * Names of the UNet's modules. The original counts blocks through all levels, diffusers begins anew at each.
 * Follows diffusers' `convert_ldm_unet_checkpoint` (src/diffusers/loaders/single_file_utils.py, v0.42.0).
 * @param layersPerBlock resnets at each level of the way down; the way up has one more
 */
export function unetNames(layersPerBlock: number[]): NamePair[] {
  const pairs = [
    ...UNET_ENDS,
    ...inside(RESNET, 'middle_block.0', 'mid_block.resnets.0'),
    pair('middle_block.1', 'mid_block.attentions.0'),
    ...inside(RESNET, 'middle_block.2', 'mid_block.resnets.1'),
  ]
  const last = layersPerBlock.length - 1
  let input = 1
  let output = 0
  layersPerBlock.forEach((layers, i) => {
    for (let j = 0; j < layers; j++) pairs.push(...layer(`input_blocks.${input++}`, `down_blocks.${i}`, j))
    if (i < last) pairs.push(pair(`input_blocks.${input++}.0.op`, `down_blocks.${i}.downsamplers.0.conv`))
  })
  layersPerBlock.toReversed().forEach((layers, i) => {
    for (let j = 0; j <= layers; j++) pairs.push(...layer(`output_blocks.${output++}`, `up_blocks.${i}`, j))
    // It stands after the attention, or in its place where the block has none.
    for (const place of i < last ? [1, 2] : [])
      pairs.push(pair(`output_blocks.${output - 1}.${place}.conv`, `up_blocks.${i}.upsamplers.0.conv`))
  })
  return pairs
}

const layer = (original: string, block: string, index: number) => [
  ...inside(RESNET, `${original}.0`, `${block}.resnets.${index}`),
  pair(`${original}.1`, `${block}.attentions.${index}`),
]

const VAE_RESNET = [
  ...['norm1', 'conv1', 'norm2', 'conv2'].map((name) => pair(name, name)),
  pair('nin_shortcut', 'conv_shortcut'),
]
const VAE_ATTENTION = [
  pair('norm', 'group_norm'),
  pair('q', 'to_q'),
  pair('k', 'to_k'),
  pair('v', 'to_v'),
  pair('proj_out', 'to_out.0'),
]

/**
 * Names of the VAE's modules, its encoder's and its decoder's. The original numbers the decoder's levels from the
 * finest, diffusers from the coarsest. Follows diffusers' `convert_ldm_vae_checkpoint` (same file).
 */
export function vaeNames(levels: number, layersPerBlock: number): NamePair[] {
  const pairs = [pair('quant_conv', 'quant_conv'), pair('post_quant_conv', 'post_quant_conv')]
  for (const half of ['encoder', 'decoder']) {
    pairs.push(pair(`${half}.conv_in`, `${half}.conv_in`), pair(`${half}.conv_out`, `${half}.conv_out`))
    pairs.push(pair(`${half}.norm_out`, `${half}.conv_norm_out`))
    for (const i of [0, 1])
      pairs.push(...inside(VAE_RESNET, `${half}.mid.block_${i + 1}`, `${half}.mid_block.resnets.${i}`))
    pairs.push(...inside(VAE_ATTENTION, `${half}.mid.attn_1`, `${half}.mid_block.attentions.0`))
  }
  for (let i = 0; i < levels; i++) {
    const [down, up] = [`encoder.down_blocks.${i}`, `decoder.up_blocks.${levels - 1 - i}`]
    for (let j = 0; j < layersPerBlock; j++)
      pairs.push(...inside(VAE_RESNET, `encoder.down.${i}.block.${j}`, `${down}.resnets.${j}`))
    for (let j = 0; j <= layersPerBlock; j++)
      pairs.push(...inside(VAE_RESNET, `decoder.up.${i}.block.${j}`, `${up}.resnets.${j}`))
    pairs.push(pair(`encoder.down.${i}.downsample.conv`, `${down}.downsamplers.0.conv`))
    pairs.push(pair(`decoder.up.${i}.upsample.conv`, `${up}.upsamplers.0.conv`))
  }
  return pairs
}

const OPEN_CLIP_ENDS = [
  pair('positional_embedding', 'text_model.embeddings.position_embedding.weight'),
  pair('token_embedding', 'text_model.embeddings.token_embedding'),
  pair('ln_final', 'text_model.final_layer_norm'),
  pair('text_projection', 'text_projection.weight'),
]
const OPEN_CLIP_LAYER = [
  pair('ln_1', 'layer_norm1'),
  pair('ln_2', 'layer_norm2'),
  pair('mlp.c_fc', 'mlp.fc1'),
  pair('mlp.c_proj', 'mlp.fc2'),
  pair('attn.out_proj', 'self_attn.out_proj'),
  // One matrix of three: queries, keys and values, in this order.
  ...['q_proj', 'k_proj', 'v_proj'].flatMap((projection) => [
    pair('attn.in_proj_weight', `self_attn.${projection}.weight`),
    pair('attn.in_proj_bias', `self_attn.${projection}.bias`),
  ]),
]

/** Names of OpenCLIP's text tower. Follows diffusers' `convert_open_clip_checkpoint` (same file). */
export function openClipNames(layers: number): NamePair[] {
  const pairs = [...OPEN_CLIP_ENDS]
  for (let i = 0; i < layers; i++)
    pairs.push(...inside(OPEN_CLIP_LAYER, `transformer.resblocks.${i}`, `text_model.encoder.layers.${i}`))
  return pairs
}

function inside(pairs: NamePair[], original: string, diffusers: string): NamePair[] {
  return pairs.map((inner) => pair(`${original}.${inner.original}`, `${diffusers}.${inner.diffusers}`))
}
