import type { LoraChoice } from '@sdcpu/model-compiler'

/** Reads `--lora FILE[:WEIGHT]`. @throws when it is neither a safetensors file nor one with a number after it */
export function readLora(text: string): LoraChoice {
  const [, file, , weight = '1'] = /^(.+\.safetensors)(:(.*))?$/.exec(text) ?? []
  if (!file || weight.trim() === '' || !Number.isFinite(Number(weight)))
    throw new Error(
      `--lora is ${text}; it must be FILE.safetensors or FILE.safetensors:WEIGHT, the weight a number such as 0.8`,
    )
  return { file, weight: Number(weight) }
}
