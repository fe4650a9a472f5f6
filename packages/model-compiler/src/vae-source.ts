import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { CompileError } from './compile-error.ts'
import { KlConfig, VaeConfig } from './configs.ts'
import { inferVae, VAE } from './infer-configs.ts'
import { lookUpBy, vaeNames } from './original-names.ts'
import { openOriginalPart } from './original-weights.ts'
import { openSafetensors } from './safetensors.ts'
import { configsBeside } from './single-file.ts'
import { checkTogether, exists, findWeights, type ModelSource, readConfig } from './source.ts'
import { openWeights, type WeightsSource } from './weights-source.ts'

/** A VAE by itself, to take the place of a model's own. */
export type VaeSource = {
  config: VaeConfig
  /** Opens its weights under diffusers' names; the caller closes them. */
  open(): Promise<WeightsSource>
  /** As `ModelSource.files`, each name below `vae/`. */
  files: Record<string, string>
}

/**
 * Reads a VAE: a folder in diffusers layout, the VAE's or that of a whole model; or a safetensors file in the original
 * key layout, alone or as part of a checkpoint, with `NAME.config/vae/config.json` beside it where shapes do not tell.
 * @throws CompileError naming file and key
 */
export async function openVae(path: string): Promise<VaeSource> {
  if ((await stat(path)).isDirectory()) return openVaeFolder(path)
  if (path.endsWith('.safetensors')) return openVaeFile(path)
  throw new CompileError(`${basename(path)} is not a VAE: it must be a folder or end in .safetensors`)
}

/** The model with another VAE. @throws CompileError when their latents do not fit */
export function replaceVae(source: ModelSource, vae: VaeSource): ModelSource {
  const others = Object.entries(source.files).filter(([name]) => !name.startsWith('vae/'))
  const replaced: ModelSource = {
    ...source,
    vae: vae.config,
    openPart: (part) => (part === 'vae' ? vae.open() : source.openPart(part)),
    files: { ...Object.fromEntries(others), ...vae.files },
  }
  checkTogether(replaced)
  return replaced
}

async function openVaeFolder(path: string): Promise<VaeSource> {
  const folder = (await exists(join(path, 'config.json'))) ? path : join(path, 'vae')
  if (!(await exists(join(folder, 'config.json'))))
    throw new CompileError(`${path} is not a VAE: neither config.json nor vae/config.json is there`)
  const config = await readConfig(folder, 'config.json', VaeConfig)
  const weights = await findWeights(folder, 'diffusion_pytorch_model')
  const label = (file: string) => `vae/${basename(file)}`
  return {
    config,
    open: () => openWeights(weights, label),
    files: Object.fromEntries([join(folder, 'config.json'), ...weights].map((file) => [label(file), file])),
  }
}

async function openVaeFile(path: string): Promise<VaeSource> {
  const label = basename(path)
  const file = await openSafetensors(path, label)
  try {
    const names = [...file.tensors.keys()]
    const prefix = names.some((name) => name.startsWith(VAE)) ? VAE : ''
    if (names.some((name) => /^decoder\.(up_blocks|layers)\./.test(name)))
      throw new CompileError(
        `${label} is a VAE in diffusers layout; give its folder, which holds config.json`,
      )
    if (!names.includes(`${prefix}decoder.conv_in.weight`))
      throw new CompileError(
        `${label} is not a VAE in the original layout: of ${names.length} tensors (${names.slice(0, 3).join(', ')}, …) none is ${prefix}decoder.conv_in.weight`,
      )
    const inferred = inferVae(file, prefix)
    const { config, given } = configsBeside(path, label)
    const vae = await config('vae/config.json', KlConfig, inferred)
    const pairs = vaeNames(inferred.block_out_channels.length, inferred.layers_per_block)
    const part = {
      prefix,
      toDiffusers: lookUpBy(pairs, 'original'),
      toOriginal: lookUpBy(pairs, 'diffusers'),
    }
    return {
      config: vae,
      open: () => openOriginalPart(path, label, part),
      files: { ...given, [`vae/${label}`]: path },
    }
  } finally {
    await file.close()
  }
}
