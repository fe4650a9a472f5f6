import { mkdir, readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type CpuClass, detectCpuClass, Manifest } from '@sdcpu/diffusion'
import { COMPILER_VERSION, type CompileProgress, compileModel, type Plan } from './compile.ts'
import { CompileError } from './compile-error.ts'
import { hashFiles } from './content-hash.ts'
import { publishFolder } from './draft-folder.ts'
import { type FetchOptions, fetchRepository } from './fetch-repository.ts'
import type { HubOptions } from './hub-options.ts'
import { parseRepository } from './hub-repository.ts'
import type { LoraFile } from './lora.ts'
import { openSingleFile } from './single-file.ts'
import { exists, type ModelSource, openSource } from './source.ts'

/** Folder of the model that comes with the repository. */
export const DEMO_FOLDER = fileURLToPath(new URL('../../../models/demo', import.meta.url))

/** A LoRA file and how strongly it is merged; 1 is as it was trained. */
export type LoraChoice = { file: string; weight: number }

export type PrepareOptions = {
  /**
   * `demo`; a folder: a model in diffusers layout, or one that is compiled already; a single-file checkpoint; or
   * `owner/name[@revision]`.
   */
  model: string
  /** LoRA files to merge into the weights. */
  loras?: LoraChoice[]
  dataDir: string
  plan: Plan
  /** CPU to compile integer plans for; this machine's when absent. */
  cpuClass?: CpuClass
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
  dataDir,
  plan,
  cpuClass = detectCpuClass(),
  hub,
  onProgress,
}: PrepareOptions): Promise<{ dir: string }> {
  const { path, name, downloadedFrom } = await locate(model, { dataDir, hub, onProgress })
  if (await exists(join(path, 'model.json'))) return { dir: await checkCompiled(path, { plan, loras }) }
  const source = await openModel(path)
  const chosen = await nameLoras(loras)
  const { hash, files } = await hashFiles(
    { ...source.files, ...Object.fromEntries(chosen.map(({ key, path }) => [key, path])) },
    join(dataDir, 'models', 'hashes.json'),
    Object.fromEntries(chosen.map(({ key, weight }) => [`${key} weight`, weight])),
  )
  const dir = join(
    dataDir,
    'models',
    `${name.replace('/', '--')}-${plan === 'fp32' ? plan : `${plan}-${cpuClass}`}-v${COMPILER_VERSION}-${hash.slice(0, 16)}`,
  )
  if (await exists(join(dir, 'model.json'))) return { dir }
  await mkdir(join(dataDir, 'models'), { recursive: true })
  const merged = chosen.map((lora) => ({ ...lora, sha256: files[lora.key]! }))
  const options = {
    name,
    plan,
    cpuClass,
    sourceHash: hash,
    sourceFiles: files,
    loras: merged,
    downloadedFrom,
    onProgress,
  }
  await publishFolder(
    dir,
    () => exists(join(dir, 'model.json')),
    (draft) => compileModel(source, draft, options),
  )
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
  { plan, loras }: { plan: Plan; loras: LoraChoice[] },
): Promise<string> {
  if (loras.length > 0)
    throw new CompileError(
      `${folder} is compiled already; a LoRA is merged into a source (a diffusers folder or a single-file checkpoint)`,
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
