import { forBlock, type UnetConfig } from './configs.ts'
import { lookUpBy, translateName, unetNames } from './original-names.ts'
import { PARTS, type Part } from './source.ts'
import type { WeightsSource } from './weights-source.ts'

/** Which tensor of which part a LoRA's module changes. */
export type Target = { part: Part; weight: string }

/** What one tensor of a LoRA file is, and the module it belongs to. */
export type LoraKey = { module: string; role: 'down' | 'up' | 'alpha' }

const KOHYA: Partial<Record<Part, string>> = {
  unet: 'lora_unet_',
  text_encoder: 'lora_te1_',
  text_encoder_2: 'lora_te2_',
}

/**
 * Every module of the model that a LoRA can change, by the names files give it: diffusers' own (`unet.mid_block…`),
 * kohya's with underscores (`lora_unet_mid_block…`), and kohya's after the original layout (`lora_unet_middle_block…`).
 */
export function listTargets(
  parts: Record<Part, Pick<WeightsSource, 'names' | 'shapeOf'>>,
  unet: UnetConfig,
): Map<string, Target> {
  const layers = unet.block_out_channels.map((_, i) => forBlock(unet.layers_per_block, i))
  const toOriginal = lookUpBy(unetNames(layers), 'diffusers')
  const targets = new Map<string, Target>()
  for (const part of PARTS) {
    const kohya = KOHYA[part]
    if (!kohya) continue
    for (const weight of parts[part].names()) {
      if (!weight.endsWith('.weight') || parts[part].shapeOf(weight)!.length < 2) continue
      const target = { part, weight }
      const module = weight.slice(0, -'.weight'.length).replace(/^text_model\./, '')
      targets.set(`${part}.${module}`, target)
      const originals = part === 'unet' ? (translateName(module, toOriginal)?.all ?? []) : []
      for (const name of [module, ...originals]) targets.set(kohya + name.replaceAll('.', '_'), target)
    }
  }
  return targets
}

const ROLES: [RegExp, LoraKey['role']][] = [
  [/\.lora_down\.weight$/, 'down'],
  [/\.lora_up\.weight$/, 'up'],
  // PEFT, with or without the adapter's name; then diffusers' older spellings.
  [/\.lora_A(\.default)?\.weight$/, 'down'],
  [/\.lora_B(\.default)?\.weight$/, 'up'],
  [/(\.lora|\.lora_linear_layer|_lora)\.down\.weight$/, 'down'],
  [/(\.lora|\.lora_linear_layer|_lora)\.up\.weight$/, 'up'],
  [/\.alpha$/, 'alpha'],
]

/** Reads a tensor's name as kohya's sd-scripts, PEFT or diffusers write it; undefined where it is none of these. */
export function parseLoraKey(key: string): LoraKey | undefined {
  for (const [ending, role] of ROLES) {
    const match = ending.exec(key)
    if (!match) continue
    const module = key.slice(0, match.index)
    return { module: module.startsWith('lora_') ? kohyaModule(module) : diffusersModule(module), role }
  }
  return undefined
}

const kohyaModule = (module: string) =>
  module.replace(/^lora_te_/, 'lora_te1_').replace(/^(lora_te\d_)text_model_/, '$1')

function diffusersModule(module: string): string {
  return module
    .replace(/^(text_encoder(?:_2)?)\.text_model\./, '$1.')
    .replace('.processor.', '.')
    .replace(/(\.self_attn)\.to_out$/, '$1.out_proj')
    .replace(/(\.self_attn)\.to_([qkv])$/, '$1.$2_proj')
    .replace(/\.to_out$/, '.to_out.0')
}
