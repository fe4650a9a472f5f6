import { access, mkdir, readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Manifest } from '@sdcpu/diffusion'
import { COMPILER_VERSION, type CompileProgress, compileModel, type Plan } from './compile.ts'
import { CompileError } from './compile-error.ts'
import { hashFiles } from './content-hash.ts'
import { publishFolder } from './draft-folder.ts'
import { type FetchOptions, fetchRepository } from './fetch-repository.ts'
import type { HubOptions } from './hub-options.ts'
import { parseRepository } from './hub-repository.ts'
import { openSource } from './source.ts'

/** Folder of the model that comes with the repository. */
export const DEMO_FOLDER = fileURLToPath(new URL('../../../models/demo', import.meta.url))

export type PrepareOptions = {
  /** `demo`; a folder: a model in diffusers layout, or one that is compiled already; or `owner/name[@revision]`. */
  model: string
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
  dataDir,
  plan,
  hub,
  onProgress,
}: PrepareOptions): Promise<{ dir: string }> {
  const { folder, name, downloadedFrom } = await locate(model, { dataDir, hub, onProgress })
  if (await exists(join(folder, 'model.json'))) return { dir: await checkCompiled(folder, plan) }
  const source = await openSource(folder)
  const { hash, files } = await hashFiles(folder, source.files, join(dataDir, 'models', 'hashes.json'))
  const dir = join(
    dataDir,
    'models',
    `${name.replace('/', '--')}-${plan}-v${COMPILER_VERSION}-${hash.slice(0, 16)}`,
  )
  if (await exists(join(dir, 'model.json'))) return { dir }
  await mkdir(join(dataDir, 'models'), { recursive: true })
  await publishFolder(
    dir,
    () => exists(join(dir, 'model.json')),
    (draft) =>
      compileModel(source, draft, {
        name,
        plan,
        sourceHash: hash,
        sourceFiles: files,
        downloadedFrom,
        onProgress,
      }),
  )
  return { dir }
}

type Located = { folder: string; name: string; downloadedFrom?: Manifest['source'] }

async function locate(model: string, options: FetchOptions): Promise<Located> {
  const folder = model === 'demo' ? DEMO_FOLDER : resolve(model)
  if (await isFolder(folder)) return { folder, name: basename(folder) }
  const repository = model === 'demo' ? undefined : parseRepository(model)
  if (!repository)
    throw new CompileError(
      `there is no model "${model}": neither "demo" nor a folder (${folder}) nor a repository owner/name[@revision]. Give a folder in diffusers layout, a compiled one, or a repository`,
    )
  const fetched = await fetchRepository(repository, options)
  const { id } = repository
  return { folder: fetched.folder, name: id, downloadedFrom: { repository: id, revision: fetched.commit } }
}

async function checkCompiled(folder: string, plan: Plan): Promise<string> {
  const parsed = Manifest.safeParse(JSON.parse(await readFile(join(folder, 'model.json'), 'utf8')))
  if (!parsed.success)
    throw new CompileError(`${folder}/model.json was not written by this version; compile the source again`, {
      cause: parsed.error,
    })
  if (parsed.data.plan !== plan)
    throw new CompileError(`${folder} is compiled with plan ${parsed.data.plan}; ${plan} was asked for`)
  return folder
}

const isFolder = (path: string) =>
  stat(path).then(
    (entry) => entry.isDirectory(),
    () => false,
  )

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )
