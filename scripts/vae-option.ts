import { TINY_DECODER, type VaeChoice } from '@sdcpu/model-compiler'

/** The options that name a VAE, for `parseArgs`. */
export const VAE_OPTIONS = {
  vae: { type: 'string' },
  decoder: { type: 'string' },
  'decoder-source': { type: 'string' },
} as const

type VaeValues = { [Name in keyof typeof VAE_OPTIONS]?: string | undefined }

/** Reads `--vae`, `--decoder` and `--decoder-source`. @throws when they do not go together */
export function readVaeChoice({ vae, decoder, 'decoder-source': source }: VaeValues): VaeChoice | undefined {
  if (decoder !== undefined && decoder !== 'tiny')
    throw new Error(`--decoder is ${decoder}; it must be tiny, or left out for the model's own`)
  if (source !== undefined && !decoder)
    throw new Error(`--decoder-source is ${source}; it takes --decoder tiny`)
  if (vae !== undefined && decoder)
    throw new Error(`--vae ${vae} and --decoder ${decoder} are two decoders; give one`)
  if (decoder) return { source: source ?? TINY_DECODER, kind: 'tiny' }
  return vae === undefined ? undefined : { source: vae }
}
