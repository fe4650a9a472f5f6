import * as z from 'zod'

/** Only this value can be compiled; the default of diffusers, so the key may be missing. */
function only<const Value extends z.core.util.Literal>(value: Value) {
  return z.literal(value, { error: `only ${JSON.stringify(value)} is supported` }).default(value as never)
}

const oneOf = <const Values extends readonly [string, ...string[]]>(values: Values) =>
  z.enum(values, { error: `supported are ${values.join(', ')}` })

const width = z.int({ error: 'a positive integer is expected' }).positive()
const perBlock = z.union([width, z.array(width)], {
  error: 'an integer or a list of one per block is expected',
})

export const ModelIndex = z.object({
  _class_name: z.literal('StableDiffusionXLPipeline', {
    error: 'only "StableDiffusionXLPipeline" is supported',
  }),
  force_zeros_for_empty_prompt: z.boolean().default(true),
})

/** CLIP text encoder, `CLIPTextModel` or `CLIPTextModelWithProjection`. */
export const ClipConfig = z.object({
  hidden_size: width,
  intermediate_size: width,
  num_hidden_layers: z.int().min(2, { error: 'at least 2 are needed: SDXL reads the layer before the last' }),
  num_attention_heads: width,
  max_position_embeddings: width,
  vocab_size: width,
  hidden_act: oneOf(['quick_gelu', 'gelu']),
  layer_norm_eps: z.number().positive().default(1e-5),
  projection_dim: width.default(512),
  eos_token_id: z.int().default(2),
})
export type ClipConfig = z.infer<typeof ClipConfig>

/** `UNet2DConditionModel` as SDXL uses it; names and defaults are diffusers'. */
export const UnetConfig = z
  .object({
    _class_name: only('UNet2DConditionModel'),
    sample_size: width,
    in_channels: width,
    out_channels: width,
    block_out_channels: z.array(width).min(1),
    layers_per_block: perBlock,
    down_block_types: z.array(oneOf(['DownBlock2D', 'CrossAttnDownBlock2D'])),
    mid_block_type: only('UNetMidBlock2DCrossAttn'),
    up_block_types: z.array(oneOf(['UpBlock2D', 'CrossAttnUpBlock2D'])),
    transformer_layers_per_block: perBlock.default(1),
    // In diffusers' SDXL files this is the number of heads, whatever its name says.
    attention_head_dim: perBlock.default(8),
    num_attention_heads: perBlock.nullable().default(null),
    cross_attention_dim: perBlock,
    use_linear_projection: z.boolean().default(false),
    norm_num_groups: width.default(32),
    norm_eps: z.number().positive().default(1e-5),
    act_fn: oneOf(['silu', 'swish']).default('silu'),
    flip_sin_to_cos: z.boolean().default(true),
    freq_shift: z.number().default(0),
    addition_embed_type: z.literal('text_time', { error: 'only "text_time" is supported' }),
    addition_time_embed_dim: width,
    projection_class_embeddings_input_dim: width,
    time_embedding_dim: width.nullable().default(null),
    center_input_sample: only(false),
    class_embed_type: only(null),
    class_embeddings_concat: only(false),
    conv_in_kernel: only(3),
    conv_out_kernel: only(3),
    cross_attention_norm: only(null),
    downsample_padding: only(1),
    dual_cross_attention: only(false),
    attention_type: only('default'),
    encoder_hid_dim: only(null),
    encoder_hid_dim_type: only(null),
    mid_block_only_cross_attention: z
      .union([z.literal(null), z.literal(false)], { error: 'only null is supported' })
      .default(null),
    mid_block_scale_factor: only(1),
    num_class_embeds: only(null),
    only_cross_attention: only(false),
    resnet_out_scale_factor: only(1),
    resnet_skip_time_act: only(false),
    resnet_time_scale_shift: only('default'),
    reverse_transformer_layers_per_block: only(null),
    time_cond_proj_dim: only(null),
    time_embedding_act_fn: only(null),
    time_embedding_type: only('positional'),
    timestep_post_act: only(null),
  })
  .superRefine((config, context) => {
    const blocks = config.block_out_channels.length
    const lists = {
      down_block_types: config.down_block_types,
      up_block_types: config.up_block_types,
      layers_per_block: config.layers_per_block,
      transformer_layers_per_block: config.transformer_layers_per_block,
      attention_head_dim: config.attention_head_dim,
      num_attention_heads: config.num_attention_heads,
      cross_attention_dim: config.cross_attention_dim,
    }
    for (const [key, value] of Object.entries(lists))
      if (Array.isArray(value) && value.length !== blocks)
        context.addIssue({
          code: 'custom',
          path: [key],
          message: `block_out_channels has ${blocks} entries, so ${blocks} are expected`,
        })
    checkGroups(config, context)
  })
export type UnetConfig = z.infer<typeof UnetConfig>

function checkGroups(
  { block_out_channels, norm_num_groups }: { block_out_channels: number[]; norm_num_groups: number },
  context: z.core.$RefinementCtx,
): void {
  for (const channels of block_out_channels)
    if (channels % norm_num_groups !== 0)
      context.addIssue({
        code: 'custom',
        path: ['block_out_channels'],
        message: `${channels} is not a multiple of norm_num_groups ${norm_num_groups}`,
      })
}

/** `AutoencoderKL`. */
export const KlConfig = z
  .object({
    _class_name: only('AutoencoderKL'),
    block_out_channels: z.array(width).min(1),
    layers_per_block: width,
    latent_channels: width,
    in_channels: only(3),
    out_channels: only(3),
    norm_num_groups: width.default(32),
    act_fn: oneOf(['silu', 'swish']).default('silu'),
    down_block_types: z.array(oneOf(['DownEncoderBlock2D'])),
    up_block_types: z.array(oneOf(['UpDecoderBlock2D'])),
    scaling_factor: z.number().positive(),
    shift_factor: only(null),
    latents_mean: only(null),
    latents_std: only(null),
    mid_block_add_attention: z.boolean().default(true),
    use_quant_conv: z.boolean().default(true),
    use_post_quant_conv: z.boolean().default(true),
  })
  .superRefine((config, context) => {
    const blocks = config.block_out_channels.length
    for (const key of ['down_block_types', 'up_block_types'] as const)
      if (config[key].length !== blocks)
        context.addIssue({
          code: 'custom',
          path: [key],
          message: `block_out_channels has ${blocks} entries, so ${blocks} are expected`,
        })
    checkGroups(config, context)
  })
export type KlConfig = z.infer<typeof KlConfig>

const tinyBlocks = () => z.array(z.int().nonnegative()).min(2)

/** `AutoencoderTiny`, as of TAESDXL; its blocks must be of one width, or diffusers cannot run it either. */
export const TinyConfig = z
  .object({
    _class_name: z.literal('AutoencoderTiny'),
    in_channels: only(3),
    out_channels: only(3),
    latent_channels: width.default(4),
    encoder_block_out_channels: z.array(width).default([64, 64, 64, 64]),
    decoder_block_out_channels: z.array(width).default([64, 64, 64, 64]),
    num_encoder_blocks: tinyBlocks().default([1, 3, 3, 3]),
    num_decoder_blocks: tinyBlocks().default([3, 3, 3, 1]),
    act_fn: only('relu'),
    upsample_fn: only('nearest'),
    upsampling_scaling_factor: only(2),
    scaling_factor: z.number().positive().default(1),
    shift_factor: only(0),
  })
  .superRefine((config, context) => {
    for (const half of ['encoder', 'decoder'] as const) {
      const stages = config[`num_${half}_blocks`].length
      const widths = config[`${half}_block_out_channels`]
      if (widths.length !== stages || widths.some((other) => other !== widths[0]))
        context.addIssue({
          code: 'custom',
          path: [`${half}_block_out_channels`],
          message: `num_${half}_blocks has ${stages} entries, so as many equal widths are expected`,
        })
    }
    if (config.num_encoder_blocks.length !== config.num_decoder_blocks.length)
      context.addIssue({
        code: 'custom',
        path: ['num_encoder_blocks'],
        message: `num_decoder_blocks has ${config.num_decoder_blocks.length} entries, so as many are expected`,
      })
  })
export type TinyConfig = z.infer<typeof TinyConfig>

/** The VAE's config; one without a class is the usual one's. */
export const VaeConfig = z.preprocess(
  (value) => (isObject(value) ? { _class_name: 'AutoencoderKL', ...value } : value),
  z.discriminatedUnion('_class_name', [KlConfig, TinyConfig], {
    error: 'supported are AutoencoderKL and AutoencoderTiny',
  }),
)
export type VaeConfig = z.infer<typeof VaeConfig>

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Value of a per-block setting for block `index`. */
export function forBlock(setting: number | number[], index: number): number {
  return Array.isArray(setting) ? setting[index]! : setting
}
