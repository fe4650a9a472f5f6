import { CompileError } from './compile-error.ts'
import type { SafetensorsFile } from './safetensors.ts'

// SDXL's own: every attention of its UNet and text encoders has heads of this width.
const HEAD_WIDTH = 64
// Latent pixels a side at 512 x 512, the size SDXL-Turbo was trained for.
const TURBO_SAMPLE_SIZE = 64
const LATENT_PIXELS = 8

export const UNET = 'model.diffusion_model.'
export const VAE = 'first_stage_model.'
export const CLIP = 'conditioner.embedders.0.transformer.'
export const OPEN_CLIP = 'conditioner.embedders.1.model.'

type Dims = (name: string) => number[]
type Config = Record<string, unknown>

/** One level of the UNet's way down, as the names and shapes of its blocks tell it. */
type Level = { channels: number; layers: number; crosses: boolean; depth: number }

/** Gives shapes of a checkpoint's tensors. The function @throws CompileError for a tensor that is not there. */
function dimsOf({ label, tensors }: SafetensorsFile): Dims {
  return (name) => {
    const found = tensors.get(name)
    if (found) return found.shape
    throw new CompileError(`${label}: tensor ${name} is missing; a single-file SDXL checkpoint has it`)
  }
}

/** Values of `unet/config.json` that the shapes tell, and SDXL's own for the rest. */
export function inferUnet(file: SafetensorsFile): Config & { layers_per_block: number[] } {
  const dims = dimsOf(file)
  const levels = readLevels(file, dims)
  const last = levels.at(-1)!
  const added = dims(`${UNET}label_emb.0.0.weight`)[1]!
  const pooled = dims(`${OPEN_CLIP}text_projection`)[1]!
  const attended = levels.findIndex(({ crosses }) => crosses)
  const at = `${UNET}${attended < 0 ? 'middle_block.1' : firstAttention(levels, attended)}`
  const projection = dims(`${at}.proj_in.weight`)
  return {
    sample_size: sampleSize(file.metadata),
    in_channels: dims(`${UNET}input_blocks.0.0.weight`)[1],
    out_channels: dims(`${UNET}out.2.weight`)[0],
    block_out_channels: levels.map(({ channels }) => channels),
    layers_per_block: levels.map(({ layers }) => layers),
    down_block_types: levels.map(({ crosses }) => (crosses ? 'CrossAttnDownBlock2D' : 'DownBlock2D')),
    up_block_types: levels.toReversed().map(({ crosses }) => (crosses ? 'CrossAttnUpBlock2D' : 'UpBlock2D')),
    transformer_layers_per_block: levels.map(({ depth }, i) =>
      i === levels.length - 1 && !last.crosses
        ? transformerDepth(file, 'middle_block.1')
        : Math.max(depth, 1),
    ),
    // Where a level has no attention, nothing reads its number of heads; the last one's is the middle block's too.
    attention_head_dim: levels.map(({ channels, crosses }, i) =>
      crosses || i === levels.length - 1
        ? channels / HEAD_WIDTH
        : Math.max(1, Math.floor(channels / HEAD_WIDTH)),
    ),
    cross_attention_dim: dims(`${at}.transformer_blocks.0.attn2.to_k.weight`)[1],
    use_linear_projection: projection.length === 2,
    addition_embed_type: 'text_time',
    addition_time_embed_dim: (added - pooled) / 6,
    projection_class_embeddings_input_dim: added,
  }
}

/** SAI's metadata name the size a model was trained for; where they do not, this service's models are Turbo. */
function sampleSize(metadata: Record<string, string>): number {
  return (namedSide(metadata) ?? TURBO_SAMPLE_SIZE * LATENT_PIXELS) / LATENT_PIXELS
}

/** Pixels a side that a file's metadata name, where they name a square of whole latent pixels. */
export function namedSide(metadata: Record<string, string>): number | undefined {
  const side = Number(/^(\d+)x\1$/.exec(metadata['modelspec.resolution'] ?? '')?.[1])
  return side > 0 && side % LATENT_PIXELS === 0 ? side : undefined
}

function readLevels({ tensors }: SafetensorsFile, dims: Dims): Level[] {
  const levels: Level[] = [{ channels: 0, layers: 0, crosses: false, depth: 0 }]
  for (let block = 1; ; block++) {
    const path = `input_blocks.${block}`
    if (tensors.has(`${UNET}${path}.0.op.weight`)) {
      levels.push({ channels: 0, layers: 0, crosses: false, depth: 0 })
      continue
    }
    if (!tensors.has(`${UNET}${path}.0.in_layers.2.weight`)) break
    const level = levels.at(-1)!
    level.channels = dims(`${UNET}${path}.0.in_layers.2.weight`)[0]!
    level.layers++
    if (!tensors.has(`${UNET}${path}.1.norm.weight`)) continue
    level.crosses = true
    level.depth = Math.max(level.depth, transformerDepth({ tensors }, `${path}.1`))
  }
  return levels
}

function firstAttention(levels: Level[], index: number): string {
  const before = levels.slice(0, index).reduce((sum, { layers }) => sum + layers + 1, 0)
  return `input_blocks.${before + 1}.1`
}

function transformerDepth({ tensors }: Pick<SafetensorsFile, 'tensors'>, path: string): number {
  return count((i) => tensors.has(`${UNET}${path}.transformer_blocks.${i}.norm1.weight`))
}

/** Values of `text_encoder/config.json`: CLIP ViT-L's kind, in transformers' names. */
export function inferClip(file: SafetensorsFile): Config {
  const root = `${CLIP}text_model.`
  return {
    ...inferText(file, {
      tokens: `${root}embeddings.token_embedding.weight`,
      positions: `${root}embeddings.position_embedding.weight`,
      opened: (layer) => `${root}encoder.layers.${layer}.mlp.fc1.weight`,
    }),
    hidden_act: 'quick_gelu',
  }
}

/** Values of `text_encoder_2/config.json`: OpenCLIP's text tower. */
export function inferOpenClip(file: SafetensorsFile): Config & { num_hidden_layers: number } {
  return {
    ...inferText(file, {
      tokens: `${OPEN_CLIP}token_embedding.weight`,
      positions: `${OPEN_CLIP}positional_embedding`,
      opened: (layer) => `${OPEN_CLIP}transformer.resblocks.${layer}.mlp.c_fc.weight`,
    }),
    hidden_act: 'gelu',
    projection_dim: dimsOf(file)(`${OPEN_CLIP}text_projection`)[1],
  }
}

type TextNames = { tokens: string; positions: string; opened: (layer: number) => string }

function inferText(file: SafetensorsFile, { tokens, positions, opened }: TextNames) {
  const dims = dimsOf(file)
  const [vocabulary, width] = dims(tokens)
  return {
    vocab_size: vocabulary,
    hidden_size: width,
    intermediate_size: dims(opened(0))[0],
    num_hidden_layers: count((layer) => file.tensors.has(opened(layer))),
    num_attention_heads: width! / HEAD_WIDTH,
    max_position_embeddings: dims(positions)[0],
    // The value both SDXL text encoders have: pool at the largest id, which is the end of the text.
    eos_token_id: 2,
  }
}

/** Values of `vae/config.json`. */
export function inferVae(
  file: SafetensorsFile,
): Config & { block_out_channels: number[]; layers_per_block: number } {
  const dims = dimsOf(file)
  const resnet = (level: number, layer: number) => `${VAE}decoder.up.${level}.block.${layer}.conv2.weight`
  const levels = count((level) => file.tensors.has(resnet(level, 0)))
  const widths = Array.from({ length: levels }, (_, level) => dims(resnet(level, 0))[0]!)
  return {
    block_out_channels: widths,
    layers_per_block: count((layer) => file.tensors.has(resnet(0, layer))) - 1,
    latent_channels: dims(`${VAE}decoder.conv_in.weight`)[1],
    up_block_types: widths.map(() => 'UpDecoderBlock2D'),
    mid_block_add_attention: file.tensors.has(`${VAE}decoder.mid.attn_1.q.weight`),
    use_post_quant_conv: file.tensors.has(`${VAE}post_quant_conv.weight`),
    // SDXL's VAE; no tensor tells it (stabilityai/sdxl-turbo vae/config.json).
    scaling_factor: 0.13025,
  }
}

/** Values of `scheduler/scheduler_config.json`: SDXL-Turbo's own (stabilityai/sdxl-turbo), and what the file says it predicts. */
export function inferScheduler({ tensors, others }: SafetensorsFile): Config {
  // The empty tensor by which ComfyUI and kohya's sd-scripts mark a model of velocities.
  const predictsVelocity = tensors.has('v_pred') || others.has('v_pred')
  return {
    _class_name: 'EulerAncestralDiscreteScheduler',
    num_train_timesteps: 1000,
    beta_start: 0.00085,
    beta_end: 0.012,
    beta_schedule: 'scaled_linear',
    prediction_type: predictsVelocity ? 'v_prediction' : 'epsilon',
    timestep_spacing: 'trailing',
    steps_offset: 1,
  }
}

function count(has: (index: number) => boolean): number {
  let found = 0
  while (has(found)) found++
  return found
}
