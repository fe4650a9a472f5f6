import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ByteCache, createByteCache } from './byte-cache.ts'
import { checkFiles, type ModelCheck } from './check-files.ts'
import { addsIn32Bits, type CpuClass, detectCpuClass } from './cpu-class.ts'
import type { Conditioning } from './encode-prompts.ts'
import type { ModelInfo } from './engine.ts'
import { type GraphOptions, type GraphSession, type OpenGraph, openGraph } from './graph-session.ts'
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
  /** Opens the encoder when it is first needed: few pictures begin with one, and it takes memory. */
  openEncoder: () => Promise<GraphSession[]>
  /** Encoded prompts that may serve again. */
  embeddings: ByteCache<Conditioning>
  /** What `context` gave for them. */
  promptKeys: PromptKeysCache
}

export type CacheBytes = { embeddings: number; promptKeys: number }

// Of a full-size SDXL a prompt's embedding is 0.6 MB and its keys and values are 51.4 MB: a hundred prompts, and five.
const CACHE_BYTES: CacheBytes = { embeddings: 64e6, promptKeys: 260e6 }

export type LoadOptions = Pick<GraphOptions, 'threads' | 'profileDir'> & {
  /** How the files are checked; `quick` when absent. */
  check?: ModelCheck
  /** Class of the CPU that will compute; this machine's when absent. */
  cpuClass?: CpuClass
} & Pick<PartOptions, 'openWith' | 'cacheBytes'>

/** How a part of a model is loaded. */
export type PartOptions = GraphOptions & {
  openWith?: OpenGraph
  /** Bounds of what is kept of earlier prompts; 0 keeps nothing. */
  cacheBytes?: CacheBytes
}

/**
 * Loads a compiled model after checking that its files are what the manifest says.
 * Blocks its thread while ONNX Runtime prepares the weights.
 * @throws ModelError naming the file that is missing or differs
 */
export async function loadModel(folder: string, options: LoadOptions): Promise<Model> {
  const manifest = await readManifest(folder)
  checkCpu(manifest, options.cpuClass ?? detectCpuClass())
  await checkFiles(folder, manifest, options.check ?? 'quick')
  return {
    manifest,
    ...(await loadTextEncoders(folder, manifest, options)),
    ...(await loadDenoiser(folder, manifest, options)),
    ...(await loadDecoder(folder, manifest, options)),
    openEncoder: encoderOf(folder, manifest, options),
  }
}

/** What `encodePrompts` needs of a model, the manifest apart. */
export async function loadTextEncoders(
  folder: string,
  { graphs }: Manifest,
  { openWith = openGraph, cacheBytes = CACHE_BYTES, ...options }: PartOptions,
): Promise<Pick<Model, 'tokenizer' | 'tokenizer2' | 'textEncoder' | 'textEncoder2' | 'embeddings'>> {
  return {
    tokenizer: await loadTokenizer(join(folder, 'tokenizer')),
    tokenizer2: await loadTokenizer(join(folder, 'tokenizer_2')),
    textEncoder: await openWith(folder, graphs.textEncoder, options),
    textEncoder2: await openWith(folder, graphs.textEncoder2, options),
    embeddings: createByteCache(
      cacheBytes.embeddings,
      ({ context, pooled }) => context.data.byteLength + pooled.data.byteLength,
    ),
  }
}

/** What `sample` needs of a model, the manifest apart. @throws ModelError where there are not three graphs */
export async function loadDenoiser(
  folder: string,
  { graphs }: Manifest,
  { openWith = openGraph, cacheBytes = CACHE_BYTES, ...options }: PartOptions,
): Promise<Pick<Model, 'context' | 'promptKeys' | 'denoiser'>> {
  const [down, mid, up] = graphs.denoiser
  if (!down || !mid || !up)
    throw new ModelError(`model.json lists ${graphs.denoiser.length} denoiser graphs; 3 are expected`)
  const open = (name: string) => openWith(folder, name, options)
  return {
    context: await open(graphs.context),
    promptKeys: createPromptKeysCache(cacheBytes.promptKeys),
    denoiser: { down: await open(down), mid: await open(mid), up: await open(up) },
  }
}

/**
 * What `decode` needs of a model, the manifest apart. Its sessions give their memory back after each run: kept, at 512x512,
 * it is some 4 GB with plan fp32 and 1 GB with int8. Asking for it anew is a tenth of an int8 decode at most.
 */
export async function loadDecoder(
  folder: string,
  { graphs }: Manifest,
  { openWith = openGraph, cacheBytes: _, ...options }: PartOptions,
): Promise<Pick<Model, 'decoder'>> {
  return { decoder: await openAll(folder, graphs.decoder, openWith, options) }
}

function encoderOf(
  folder: string,
  { graphs }: Manifest,
  { openWith = openGraph, cacheBytes: _, ...options }: PartOptions,
): Model['openEncoder'] {
  let encoder: Promise<GraphSession[]> | undefined
  return () => {
    encoder ??= openAll(folder, graphs.encoder, openWith, options)
    return encoder
  }
}

async function openAll(
  folder: string,
  names: string[],
  openWith: typeof openGraph,
  options: GraphOptions,
): Promise<GraphSession[]> {
  const sessions: GraphSession[] = []
  for (const name of names) sessions.push(await openWith(folder, name, { ...options, keepMemory: false }))
  return sessions
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

/** What the model says of itself to those who ask for pictures. */
export function describeModel({ name, plan, recommended, graphs, licence }: Manifest): ModelInfo {
  return {
    ...{ name, plan, nativeSize: recommended.sizes[0]!.width, recommended },
    drawsFromImage: graphs.encoder.length > 0,
    ...(licence && { licence }),
  }
}
