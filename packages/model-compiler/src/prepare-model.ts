import { mkdir, readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Manifest } from '@sdcpu/diffusion'
import { COMPILER_VERSION, type CompileProgress, compileModel, type Plan } from './compile.ts'
import { CompileError } from './compile-error.ts'
import { hashFiles } from './content-hash.ts'
import { publishFolder } from './draft-folder.ts'
import { type FetchOptions, fetchRepository } from './fetch-repository.ts'
import { withFileLock } from './file-lock.ts'
import { VAE_ALONE } from './hub-files.ts'
import { type HubOptions, settleHubOptions } from './hub-options.ts'
import { parseRepository } from './hub-repository.ts'
import type { LoraFile } from './lora.ts'
import { openSingleFile } from './single-file.ts'
import { exists, type ModelSource, openSource } from './source.ts'
import { openVae, replaceVae, type VaeSource } from './vae-source.ts'

/** The tiny decoder for SDXL's latents that everybody means (MIT). */
export const TINY_DECODER = 'madebyollin/taesdxl'

/** Folder of the model that comes with the repository. */
export const DEMO_FOLDER = fileURLToPath(new URL('../../../models/demo', import.meta.url))

/** A LoRA file and how strongly it is merged; 1 is as it was trained. */
export type LoraChoice = { file: string; weight: number }

/** A VAE in place of the model's own. */
export type VaeChoice = {
  /** A folder in diffusers layout, a file in the original layout, or `owner/name[@revision]`. */
  source: string
  /** What it must be; of any kind when absent. */
  kind?: 'tiny'
}

export type PrepareOptions = {
  /**
   * `demo`; a folder: a model in diffusers layout, or one that is compiled already; a single-file checkpoint; or
   * `owner/name[@revision]`.
   */
  model: string
  /** LoRA files to merge into the weights. */
  loras?: LoraChoice[]
  vae?: VaeChoice
  dataDir: string
  plan: Plan
  /** Where repositories come from, and by whose right. */
  hub?: HubOptions
  onProgress?: (progress: CompileProgress) => void
}

/**
 * Gives the folder of the compiled model, compiling it under `dataDir` unless the same source was compiled before.
 * A repository is downloaded first; a folder of the same name wins.
 * @throws CompileError when there is no such model, or it cannot be compiled; HubError when it cannot be downloaded.
 */
export async function prepareModel({
  model,
  loras = [],
  vae,
  dataDir,
  plan,
  hub,
  onProgress,
}: PrepareOptions): Promise<{ dir: string }> {
  const { path, name, downloadedFrom } = await locate(model, { dataDir, hub, onProgress })
  if (await exists(join(path, 'model.json'))) return { dir: await checkCompiled(path, { plan, loras, vae }) }
  const own = await openModel(path)
  const other = vae && (await chooseVae(vae, { dataDir, hub, onProgress }))
  const source = other ? replaceVae(own, other) : own
  const chosen = await nameLoras(loras)
  const { hash, files } = await hashFiles(
    { ...source.files, ...Object.fromEntries(chosen.map(({ key, path }) => [key, path])) },
    join(dataDir, 'models', 'hashes.json'),
    Object.fromEntries(chosen.map(({ key, weight }) => [`${key} weight`, weight])),
  )
  const dir = join(
    dataDir,
    'models',
    `${name.replace('/', '--')}-${plan}-v${COMPILER_VERSION}-${hash.slice(0, 16)}`,
  )
  if (await exists(join(dir, 'model.json'))) return { dir }
  await mkdir(join(dataDir, 'models'), { recursive: true })
  const merged = chosen.map((lora) => ({ ...lora, sha256: files[lora.key]! }))
  const options = {
    name,
    plan,
    sourceHash: hash,
    sourceFiles: files,
    loras: merged,
    vaeFrom: other?.from,
    downloadedFrom,
    onProgress,
  }
  const isWhole = () => exists(join(dir, 'model.json'))
  // One process compiles; the others that share the folder wait, which is quicker than all doing it at once.
  const onWait = (holder: string) =>
    onProgress?.({ message: `Waiting for ${holder}, which is compiling ${name}`, done: 0, total: 0 })
  const { heartbeatMs, staleMs } = settleHubOptions(hub).timing
  await withFileLock(`${dir}.lock`, { heartbeatMs, staleMs, onWait }, async () => {
    if (await isWhole()) return
    await publishFolder(dir, isWhole, (draft) => compileModel(source, draft, options))
  })
  return { dir }
}

type Located = { path: string; name: string; downloadedFrom?: Manifest['source'] }

/** Finds the model on disk, or downloads it. What is there under its name goes before a repository. */
async function locate(model: string, options: FetchOptions): Promise<Located> {
  const path = model === 'demo' ? DEMO_FOLDER : resolve(model)
  if (await exists(path)) return { path, name: basename(path, '.safetensors') }
  const repository = model === 'demo' ? undefined : parseRepository(model)
  if (!repository)
    throw new CompileError(
      `there is no model "${model}": neither "demo" nor a folder or file (${path}) nor a repository owner/name[@revision]. Give a folder in diffusers layout, a single-file checkpoint (.safetensors), a compiled folder, or a repository`,
    )
  const fetched = await fetchRepository(repository, options)
  const { id } = repository
  return { path: fetched.folder, name: id, downloadedFrom: { repository: id, revision: fetched.commit } }
}

async function chooseVae(
  { source, kind }: VaeChoice,
  options: FetchOptions,
): Promise<VaeSource & { from: string }> {
  const { path, from } = await locateVae(source, options)
  const vae = await openVae(path)
  const { _class_name: found } = vae.config
  if (kind === 'tiny' && found !== 'AutoencoderTiny')
    throw new CompileError(`${source} is an ${found}; a tiny decoder is an AutoencoderTiny`)
  return { ...vae, from }
}

async function locateVae(source: string, options: FetchOptions): Promise<{ path: string; from: string }> {
  const path = resolve(source)
  if (await exists(path)) return { path, from: basename(path) }
  const repository = parseRepository(source)
  if (!repository)
    throw new CompileError(
      `there is no VAE "${source}": neither a folder or file (${path}) nor a repository owner/name[@revision]`,
    )
  const { folder, commit } = await fetchRepository(repository, { ...options, kind: VAE_ALONE })
  return { path: folder, from: `${repository.id}@${commit}` }
}

async function openModel(path: string): Promise<ModelSource> {
  if ((await stat(path)).isDirectory()) return openSource(path)
  if (!path.endsWith('.safetensors'))
    throw new CompileError(
      `${basename(path)} is not a model: a single-file checkpoint ends in .safetensors. Pickled files (.ckpt, .pt) can run code and are not read`,
    )
  return openSingleFile(path)
}

/** LoRA files by the names that the model's hash and manifest know them by: the order counts, so it stands in the name. */
async function nameLoras(loras: LoraChoice[]): Promise<(LoraFile & { key: string })[]> {
  return Promise.all(
    loras.map(async ({ file, weight }, i) => {
      const path = resolve(file)
      const label = basename(path)
      if (!(await exists(path))) throw new CompileError(`there is no LoRA file ${path}`)
      return { path, label, weight, key: `loras/${i}-${label}` }
    }),
  )
}

async function checkCompiled(
  folder: string,
  { plan, loras, vae }: Pick<PrepareOptions, 'plan' | 'vae'> & { loras: LoraChoice[] },
): Promise<string> {
  if (loras.length > 0)
    throw new CompileError(
      `${folder} is compiled already; a LoRA is merged into a source (a diffusers folder or a single-file checkpoint)`,
    )
  if (vae)
    throw new CompileError(
      `${folder} is compiled already; another VAE takes a source (a diffusers folder or a single-file checkpoint)`,
    )
  const parsed = Manifest.safeParse(JSON.parse(await readFile(join(folder, 'model.json'), 'utf8')))
  if (!parsed.success)
    throw new CompileError(`${folder}/model.json was not written by this version; compile the source again`, {
      cause: parsed.error,
    })
  if (parsed.data.plan !== plan)
    throw new CompileError(`${folder} is compiled with plan ${parsed.data.plan}; ${plan} was asked for`)
  return folder
}
