type Family = { what: string; has: (names: string[]) => boolean }

const begins = (start: string) => (names: string[]) => names.some((name) => name.startsWith(start))
const contains = (part: string) => (names: string[]) => names.some((name) => name.includes(part))

/** Tensors that only files of one kind have, the more telling first. */
const FAMILIES: Family[] = [
  { what: 'a LoRA; give it with --lora beside a model', has: contains('lora_') },
  { what: 'a Flux model', has: contains('double_blocks.0.img_attn') },
  { what: 'a Stable Diffusion 3 model', has: contains('joint_blocks.0.') },
  { what: 'a Playground v2.5 model', has: begins('edm_mean') },
  { what: 'a ControlNet', has: begins('control_model.') },
  { what: 'a Stable Diffusion 1 model', has: begins('cond_stage_model.transformer.') },
  { what: 'a Stable Diffusion 2 model', has: begins('cond_stage_model.model.') },
  { what: 'the SDXL refiner', has: begins('conditioner.embedders.0.model.') },
  {
    what: 'a part of a model in diffusers layout; give the folder of the whole model',
    has: (names) => contains('down_blocks.0.')(names) || begins('text_model.encoder.')(names),
  },
  {
    what: 'a UNet without its text encoders and VAE',
    has: (names) => begins('model.diffusion_model.')(names) && !begins('conditioner.')(names),
  },
  {
    what: 'a VAE alone',
    has: (names) =>
      contains('decoder.up.0.block.0.')(names) && !begins('model.')(names) && !begins('conditioner.')(names),
  },
]

/** What a file holds that is not a whole SDXL checkpoint, by tensors that tell; undefined where none does. */
export function recogniseOther(names: string[]): string | undefined {
  return FAMILIES.find(({ has }) => has(names))?.what
}
