import { expect, it } from 'vitest'
import { parseLoraKey } from './lora-names.ts'

it.each([
  ['lora_unet_input_blocks_4_1_proj_in.lora_down.weight', 'lora_unet_input_blocks_4_1_proj_in', 'down'],
  ['lora_te1_text_model_encoder_layers_0_mlp_fc1.alpha', 'lora_te1_encoder_layers_0_mlp_fc1', 'alpha'],
  ['lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight', 'lora_te1_encoder_layers_0_mlp_fc1', 'up'],
  ['unet.conv_in.lora_A.weight', 'unet.conv_in', 'down'],
  ['unet.conv_in.lora_B.default.weight', 'unet.conv_in', 'up'],
  ['unet.mid_block.attentions.0.proj_in.lora.up.weight', 'unet.mid_block.attentions.0.proj_in', 'up'],
  ['unet.a.attn1.processor.to_q_lora.down.weight', 'unet.a.attn1.to_q', 'down'],
  ['unet.a.attn1.processor.to_out_lora.up.weight', 'unet.a.attn1.to_out.0', 'up'],
  [
    'text_encoder.text_model.encoder.layers.0.self_attn.to_out_lora.down.weight',
    'text_encoder.encoder.layers.0.self_attn.out_proj',
    'down',
  ],
  [
    'text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.up.weight',
    'text_encoder_2.encoder.layers.0.self_attn.q_proj',
    'up',
  ],
])('reads %s', (key, module, role) => {
  expect(parseLoraKey(key)).toEqual({ module, role })
})

it.each(['unet.conv_in.weight', 'lora_unet_conv_in.diff', 'emb_params'])(
  'does not take %s for one of a LoRA',
  (key) => {
    expect(parseLoraKey(key)).toBeUndefined()
  },
)
