import { mkdir, readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  type Audit,
  type CpuClass,
  detectCpuClass,
  Manifest,
  readCpuBudget,
  readManifest,
} from '@sdcpu/diffusion'
import { COMPILER_VERSION, type CompileOptions, type CompileProgress, compileModel } from './compile.ts'
import { compileAudited } from './compile-audited.ts'
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
/** Plans that can be asked for; `auto` is the faster of the two on this machine, where int8 is good enough. */
export const PLAN_CHOICES = ['auto', 'fp32', 'int8'] as const
export type PlanChoice = (typeof PLAN_CHOICES)[number]

/** A compiled model's folder, and what it says of itself. */
export type PreparedModel = { dir: string; plan: Manifest['plan']; audit?: Audit | undefined }

// In layers this narrow, quantising costs what the products save, and the trial takes longer than a hundred pictures.
const SMALL_BYTES = 100e6

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
  plan: PlanChoice
  /** Whether an int8 model is tried against fp32 and repaired; true when absent. Without it auto is fp32. */
  audit?: boolean
  /** Threads that the audit computes and measures with; default: the physical cores allowed, within the quota. */
  threads?: number
  /** Source files of fewer bytes are fp32 under `auto`, untried. */
  smallBytes?: number
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
  vae,
  dataDir,
  plan: choice,
  audit = true,
  threads = readCpuBudget().threads,
  smallBytes = SMALL_BYTES,
  cpuClass = detectCpuClass(),
  hub,
  onProgress,
}: PrepareOptions): Promise<PreparedModel> {
  const { path, name, downloadedFrom } = await locate(model, { dataDir, hub, onProgress })
  if (await exists(join(path, 'model.json')))
    return describePrepared(await checkCompiled(path, { plan: choice, loras, vae }))
  const own = await openModel(path)
  const other = vae && (await chooseVae(vae, { dataDir, hub, onProgress }))
  const source = other ? replaceVae(own, other) : own
  const isSmall = (await totalBytes(Object.values(source.files))) < smallBytes
  const plan = settlePlan(choice, { cpuClass, audit, isSmall })
  const chosen = await nameLoras(loras)
  const { hash, files } = await hashFiles(
    { ...source.files, ...Object.fromEntries(chosen.map(({ key, path }) => [key, path])) },
    join(dataDir, 'models', 'hashes.json'),
    Object.fromEntries(chosen.map(({ key, weight }) => [`${key} weight`, weight])),
  )
  const dir = join(
    dataDir,
    'models',
    `${name.replace('/', '--')}-${describePlan(plan, { cpuClass, audit })}-v${COMPILER_VERSION}-${hash.slice(0, 16)}`,
  )
  if (await exists(join(dir, 'model.json'))) return describePrepared(dir)
  await mkdir(join(dataDir, 'models'), { recursive: true })
  const merged = chosen.map((lora) => ({ ...lora, sha256: files[lora.key]! }))
  const options = {
    name,
    cpuClass,
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
    await publishFolder(dir, isWhole, (draft) => compile(source, draft, { ...options, plan, audit, threads }))
  })
  return describePrepared(dir)
}

/** Where there is nothing to choose from or to win, auto is fp32. */
function settlePlan(
  plan: PlanChoice,
  { cpuClass, audit, isSmall }: Computing & { isSmall: boolean },
): PlanChoice {
  return plan === 'auto' && (!cpuClass || !audit || isSmall) ? 'fp32' : plan
}

async function totalBytes(paths: string[]): Promise<number> {
  const entries = await Promise.all(paths.map((path) => stat(path)))
  return entries.reduce((sum, { size }) => sum + size, 0)
}

type Computing = { cpuClass: CpuClass | undefined; audit: boolean }

/** As it stands in the folder's name: what a plan comes to depends on the CPU and on whether it was audited. */
function describePlan(plan: PlanChoice, { cpuClass, audit }: Computing): string {
  return plan === 'fp32' ? plan : `${plan}-${cpuClass}${audit ? '' : '-unaudited'}`
}

type CompileChoices = { plan: PlanChoice; audit: boolean; threads: number }

async function compile(
  source: ModelSource,
  draft: string,
  { plan, audit, threads, ...options }: Omit<CompileOptions, 'plan' | 'audit'> & CompileChoices,
): Promise<void> {
  const { cpuClass } = options
  if (plan !== 'fp32' && audit && cpuClass)
    return compileAudited(source, draft, { ...options, plan, cpuClass, threads })
  await compileModel(source, draft, { ...options, plan: plan === 'int8' ? plan : 'fp32' })
}

async function describePrepared(dir: string): Promise<PreparedModel> {
  const { plan, audit } = await readManifest(dir)
  return { dir, plan, audit }
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
  { plan, loras, vae }: { plan: PlanChoice; loras: LoraChoice[]; vae: VaeChoice | undefined },
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
  if (plan !== 'auto' && parsed.data.plan !== plan)
    throw new CompileError(`${folder} is compiled with plan ${parsed.data.plan}; ${plan} was asked for`)
  return folder
}
