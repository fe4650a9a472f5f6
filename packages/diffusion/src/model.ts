import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { checkFiles, type ModelCheck } from './check-files.ts'
import type { ModelInfo } from './engine.ts'
import { type GraphOptions, type GraphSession, openGraph } from './graph-session.ts'
import { Manifest } from './manifest.ts'
import { ModelError } from './model-error.ts'
import { loadTokenizer, type Tokenizer } from './tokenizer.ts'

/** A compiled model, loaded: its numbers, tokenizers and ONNX Runtime sessions. */
export type Model = {
  manifest: Manifest
  tokenizer: Tokenizer
  tokenizer2: Tokenizer
  textEncoder: GraphSession
  textEncoder2: GraphSession
  denoiser: { down: GraphSession; mid: GraphSession; up: GraphSession }
  decoder: GraphSession[]
  /** Opens the encoder when it is first needed: few pictures begin with one, and it takes memory. */
  openEncoder: () => Promise<GraphSession[]>
}

export type LoadOptions = Pick<GraphOptions, 'threads' | 'profileDir'> & {
  /** How the files are checked; `quick` when absent. */
  check?: ModelCheck
}

/**
 * Loads a compiled model after checking that its files are what the manifest says.
 * Blocks its thread while ONNX Runtime prepares the weights.
 * @throws ModelError naming the file that is missing or differs
 */
export async function loadModel(folder: string, options: LoadOptions): Promise<Model> {
  const manifest = await readManifest(folder)
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
  options: GraphOptions,
): Promise<Pick<Model, 'tokenizer' | 'tokenizer2' | 'textEncoder' | 'textEncoder2'>> {
  return {
    tokenizer: await loadTokenizer(join(folder, 'tokenizer')),
    tokenizer2: await loadTokenizer(join(folder, 'tokenizer_2')),
    textEncoder: await openGraph(folder, graphs.textEncoder, options),
    textEncoder2: await openGraph(folder, graphs.textEncoder2, options),
  }
}

/** What `sample` needs of a model, the manifest apart. @throws ModelError where there are not three graphs */
export async function loadDenoiser(
  folder: string,
  { graphs }: Manifest,
  options: GraphOptions,
): Promise<Pick<Model, 'denoiser'>> {
  const [down, mid, up] = graphs.denoiser
  if (!down || !mid || !up)
    throw new ModelError(`model.json lists ${graphs.denoiser.length} denoiser graphs; 3 are expected`)
  const open = (name: string) => openGraph(folder, name, options)
  return { denoiser: { down: await open(down), mid: await open(mid), up: await open(up) } }
}

/**
 * What `decode` needs of a model, the manifest apart. Its sessions give their memory back after each run: kept, it is
 * 4.3 GB at 512x512, and asking for it anew costs nothing that can be measured.
 */
export async function loadDecoder(
  folder: string,
  { graphs }: Manifest,
  options: GraphOptions,
): Promise<Pick<Model, 'decoder'>> {
  return { decoder: await openAll(folder, graphs.decoder, options) }
}

function encoderOf(folder: string, { graphs }: Manifest, options: GraphOptions): Model['openEncoder'] {
  let encoder: Promise<GraphSession[]> | undefined
  return () => {
    encoder ??= openAll(folder, graphs.encoder, options)
    return encoder
  }
}

async function openAll(folder: string, names: string[], options: GraphOptions): Promise<GraphSession[]> {
  const sessions: GraphSession[] = []
  for (const name of names) sessions.push(await openGraph(folder, name, { ...options, keepMemory: false }))
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

/** What the model says of itself to those who ask for pictures. */
export function describeModel({ name, plan, recommended, licence }: Manifest): ModelInfo {
  return { name, plan, nativeSize: recommended.sizes[0]!.width, recommended, ...(licence && { licence }) }
}
