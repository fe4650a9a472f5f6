import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type ByteCache, createByteCache } from './byte-cache.ts'
import { addsIn32Bits, type CpuClass, detectCpuClass } from './cpu-class.ts'
import type { Conditioning } from './encode-prompts.ts'
import type { ModelInfo } from './engine.ts'
import { type GraphSession, type OpenGraph, openGraph } from './graph-session.ts'
import { Manifest } from './manifest.ts'
import { ModelError } from './model-error.ts'
import { createPromptKeysCache, type PromptKeysCache } from './prompt-keys.ts'
import { loadTokenizer, type Tokenizer } from './tokenizer.ts'

/** A compiled model, loaded: its numbers, tokenizers and ONNX Runtime sessions. */
export type Model = {
  manifest: Manifest
  tokenizer: Tokenizer
  tokenizer2: Tokenizer
  textEncoder: GraphSession
  textEncoder2: GraphSession
  /** Keys and values of the cross-attentions for a prompt. */
  context: GraphSession
  denoiser: { down: GraphSession; mid: GraphSession; up: GraphSession }
  decoder: GraphSession[]
  caches: PromptCaches
}

/** What was computed for earlier prompts and may serve again. */
export type PromptCaches = { embeddings: ByteCache<Conditioning>; promptKeys: PromptKeysCache }

export type CacheBytes = { embeddings: number; promptKeys: number }

// Of a full-size SDXL a prompt's embedding is 0.6 MB and its keys and values are 51 MB: a hundred prompts, and five.
const CACHE_BYTES: CacheBytes = { embeddings: 64e6, promptKeys: 256e6 }

export type LoadOptions = {
  threads: number
  /** Class of the CPU that will compute; this machine's when absent. */
  cpuClass?: CpuClass
  /** Whether to check every file against its hash; a caller that just wrote them need not. */
  verify?: boolean
  openWith?: OpenGraph
  /** Bounds of the caches; 0 keeps nothing. */
  cacheBytes?: CacheBytes
}

const HASH_CHUNK_BYTES = 4 << 20

/**
 * Loads a compiled model after checking that every file is what the manifest says.
 * Blocks its thread while ONNX Runtime prepares the weights.
 * @throws ModelError naming the file that is missing or differs
 */
export async function loadModel(
  folder: string,
  {
    threads,
    cpuClass = detectCpuClass(),
    verify = true,
    openWith = openGraph,
    cacheBytes = CACHE_BYTES,
  }: LoadOptions,
): Promise<Model> {
  const manifest = await readManifest(folder)
  checkCpu(manifest, cpuClass)
  if (verify) await checkFiles(folder, manifest)
  const open = (name: string) => openWith(folder, name, { threads })
  const [down, mid, up] = manifest.graphs.denoiser
  if (!down || !mid || !up)
    throw new ModelError(
      `model.json lists ${manifest.graphs.denoiser.length} denoiser graphs; 3 are expected`,
    )
  const decoder: GraphSession[] = []
  for (const name of manifest.graphs.decoder) decoder.push(await open(name))
  return {
    manifest,
    tokenizer: await loadTokenizer(join(folder, 'tokenizer')),
    tokenizer2: await loadTokenizer(join(folder, 'tokenizer_2')),
    textEncoder: await open(manifest.graphs.textEncoder),
    textEncoder2: await open(manifest.graphs.textEncoder2),
    context: await open(manifest.graphs.context),
    denoiser: { down: await open(down), mid: await open(mid), up: await open(up) },
    decoder,
    caches: createCaches(cacheBytes),
  }
}

function createCaches({ embeddings, promptKeys }: CacheBytes): PromptCaches {
  return {
    embeddings: createByteCache(
      embeddings,
      ({ context, pooled }) => context.data.byteLength + pooled.data.byteLength,
    ),
    promptKeys: createPromptKeysCache(promptKeys),
  }
}

/** Reads `model.json`. @throws ModelError when it is missing or of another version */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, 'model.json')
  const text = await readFile(path, 'utf8').catch((cause) => {
    throw new ModelError(`${path} is missing; ${folder} is not a compiled model`, { cause })
  })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new ModelError(`${path} is not JSON; compile the model again`, { cause })
  }
  const parsed = Manifest.safeParse(value)
  if (!parsed.success)
    throw new ModelError(`${path} was written by another version; compile the model again`, {
      cause: parsed.error,
    })
  return parsed.data
}

/** Weights of 8 bits on a CPU that adds pairs of products in 16 would give wrong pictures, and no error. */
function checkCpu({ name, cpuClass: made }: Manifest, here: CpuClass | undefined): void {
  if (made && addsIn32Bits(made) && !addsIn32Bits(here))
    throw new ModelError(
      `${name} is compiled for CPUs of class ${made}; this one is ${here ?? 'none of those that integer plans are for'}. Compile it on this machine`,
    )
}

async function checkFiles(folder: string, manifest: Manifest): Promise<void> {
  for (const [name, { bytes, sha256 }] of Object.entries(manifest.files)) {
    const path = join(folder, name)
    const found = await stat(path).then(
      (entry) => entry.size,
      () => undefined,
    )
    if (found === undefined) throw new ModelError(`${path} is missing; compile the model again`)
    if (found !== bytes)
      throw new ModelError(`${path} is ${found} bytes; model.json says ${bytes}. Compile the model again`)
    const hash = createHash('sha256')
    await pipeline(createReadStream(path, { highWaterMark: HASH_CHUNK_BYTES }), hash)
    if (hash.digest('hex') !== sha256)
      throw new ModelError(
        `${path} is damaged: its SHA-256 is not the one in model.json. Compile the model again`,
      )
  }
}

/** What the model says of itself to those who ask for pictures. */
export function describeModel({ name, plan, unet, vae, defaultSteps }: Manifest): ModelInfo {
  return { name, plan, nativeSize: unet.sampleSize * vae.spatialFactor, defaultSteps }
}
