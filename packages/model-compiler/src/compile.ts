import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { MANIFEST_VERSION, Manifest } from '@sdcpu/diffusion'
import { buildAutoencoder, describeAutoencoder } from './autoencoder.ts'
import type { Graph } from './graph.ts'
import { type LoraFile, mergeLoras } from './lora.ts'
import { encodeOnnx } from './onnx.ts'
import { recommend } from './recommend.ts'
import { type ModelSource, PARTS, type Part } from './source.ts'
import { buildTextEncoder } from './text-encoder.ts'
import { buildUnet } from './unet.ts'
import { writeWeightPack } from './weight-pack.ts'
import type { WeightsSource } from './weights-source.ts'

/** Raised when the graphs, packs or manifest of the same source would come out different. */
export const COMPILER_VERSION = '3'

export type Plan = 'fp32'

/** `done` and `total` count bytes of source weights. */
export type CompileProgress = { message: string; done: number; total: number }

export type CompileOptions = {
  name: string
  plan: Plan
  sourceHash: string
  sourceFiles: Record<string, string>
  /** Merged into the weights, in this order. */
  loras?: (LoraFile & { sha256: string })[]
  /** What the VAE is called that took the place of the source's own. */
  vaeFrom?: string
  /** Repository and commit that the source was downloaded from. */
  downloadedFrom?: Manifest['source']
  onProgress?: (progress: CompileProgress) => void
}

type Built = { graph: Graph; weights: WeightsSource }

/**
 * Compiles a source into `folder`, which must be empty or absent: graphs, weight packs, tokenizers and, last of all,
 * `model.json`. A folder without `model.json` is therefore never taken for a whole model.
 * Memory holds one tensor at a time.
 * @throws CompileError when the weights do not fit the configs.
 */
export async function compileModel(
  source: ModelSource,
  folder: string,
  options: CompileOptions,
): Promise<Manifest> {
  await mkdir(folder, { recursive: true })
  const parts = await openParts(source, options.loras ?? [])
  try {
    // All graphs before any pack: a missing tensor or a wrong shape is found before gigabytes are written.
    const { built, graphs } = buildGraphs(source, parts)
    const files: Manifest['files'] = {}
    const total = built.reduce((sum, { graph }) => sum + packBytes(graph), 0)
    let done = 0
    for (const { graph, weights } of built) {
      options.onProgress?.({ message: `Compiling ${graph.name}`, done, total })
      Object.assign(files, await writeGraph(folder, graph, weights))
      done += packBytes(graph)
    }
    for (const [path, from] of Object.entries(source.tokenizerFiles))
      files[path] = await putInto(folder, path, from)
    const manifest = describe(source, options, graphs, files)
    await writeFile(join(folder, 'model.json'), `${JSON.stringify(manifest, null, 2)}\n`)
    options.onProgress?.({ message: `Compiled ${options.name}`, done: total, total })
    return manifest
  } finally {
    await closeAll(parts)
  }
}

async function openParts(source: ModelSource, loras: LoraFile[]): Promise<Record<Part, WeightsSource>> {
  const parts: Partial<Record<Part, WeightsSource>> = {}
  try {
    for (const part of PARTS) parts[part] = await source.openPart(part)
    return await mergeLoras(parts as Record<Part, WeightsSource>, loras, source.unet)
  } catch (error) {
    await closeAll(parts)
    throw error
  }
}

async function closeAll(parts: Partial<Record<Part, WeightsSource>>): Promise<void> {
  await Promise.all(Object.values(parts).map((weights) => weights.close()))
}

function buildGraphs(
  source: ModelSource,
  parts: Record<Part, WeightsSource>,
): { built: Built[]; graphs: Manifest['graphs'] } {
  const textEncoder = buildTextEncoder('text_encoder', source.textEncoder, parts.text_encoder, {
    projected: false,
  })
  const textEncoder2 = buildTextEncoder('text_encoder_2', source.textEncoder2, parts.text_encoder_2, {
    projected: true,
  })
  const denoiser = buildUnet(source.unet, parts.unet)
  const { decoder, encoder } = buildAutoencoder(source.vae, parts.vae)
  const names = (list: Graph[]) => list.map((graph) => graph.name)
  return {
    built: [
      { graph: textEncoder, weights: parts.text_encoder },
      { graph: textEncoder2, weights: parts.text_encoder_2 },
      ...denoiser.map((graph) => ({ graph, weights: parts.unet })),
      ...[...decoder, ...encoder].map((graph) => ({ graph, weights: parts.vae })),
    ],
    graphs: {
      textEncoder: textEncoder.name,
      textEncoder2: textEncoder2.name,
      denoiser: names(denoiser),
      decoder: names(decoder),
      encoder: names(encoder),
    },
  }
}

const packBytes = (graph: Graph) =>
  graph.weights.reduce((sum, { dims }) => sum + 4 * dims.reduce((a, b) => a * b, 1), 0)

async function writeGraph(folder: string, graph: Graph, weights: WeightsSource): Promise<Manifest['files']> {
  const location = `${graph.name}.weights`
  const pack = await writeWeightPack(join(folder, location), location, graph.weights, weights)
  const model = encodeOnnx(
    { ...graph, initializers: [...graph.initializers, ...pack.initializers] },
    COMPILER_VERSION,
  )
  await writeFile(join(folder, `${graph.name}.onnx`), model)
  return {
    [`${graph.name}.onnx`]: { bytes: model.length, sha256: sha256(model) },
    [location]: { bytes: pack.bytes, sha256: pack.sha256 },
  }
}

async function putInto(
  folder: string,
  path: string,
  from: string | Uint8Array,
): Promise<Manifest['files'][string]> {
  const bytes = typeof from === 'string' ? await readFile(from) : from
  await mkdir(dirname(join(folder, path)), { recursive: true })
  await writeFile(join(folder, path), bytes)
  return { bytes: bytes.length, sha256: sha256(bytes) }
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

function recommendFor(source: ModelSource, { name, loras = [] }: CompileOptions): Manifest['recommended'] {
  const { card, inferred, scheduler, unet, vae } = source
  return recommend({
    names: [name, ...(card.title ? [card.title] : [])],
    loras: loras.filter(({ weight }) => weight !== 0).map(({ label }) => label),
    scheduler,
    nativeSize: unet.sample_size * describeAutoencoder(vae).spatialFactor,
    inferred,
    card,
  })
}

function describe(
  source: ModelSource,
  options: CompileOptions,
  graphs: Manifest['graphs'],
  files: Manifest['files'],
): Manifest {
  const { textEncoder, textEncoder2, unet, vae } = source
  const numbers = (config: ModelSource['textEncoder']) => ({
    hiddenSize: config.hidden_size,
    positions: config.max_position_embeddings,
    eosTokenId: config.eos_token_id,
  })
  return Manifest.parse({
    version: MANIFEST_VERSION,
    compilerVersion: COMPILER_VERSION,
    name: options.name,
    sourceHash: options.sourceHash,
    sourceFiles: options.sourceFiles,
    loras: options.loras?.map(({ label: file, sha256, weight }) => ({ file, sha256, weight })),
    source: options.downloadedFrom,
    plan: options.plan,
    textEncoder: numbers(textEncoder),
    textEncoder2: { ...numbers(textEncoder2), projectionDim: textEncoder2.projection_dim },
    unet: {
      latentChannels: unet.in_channels,
      modelChannels: unet.block_out_channels[0],
      additionTimeEmbedDim: unet.addition_time_embed_dim,
      flipSinToCos: unet.flip_sin_to_cos,
      freqShift: unet.freq_shift,
      sampleSize: unet.sample_size,
    },
    vae: { ...describeAutoencoder(vae), from: options.vaeFrom },
    scheduler: source.scheduler,
    forceZerosForEmptyPrompt: source.index.force_zeros_for_empty_prompt,
    recommended: recommendFor(source, options),
    licence: source.card.licence,
    graphs,
    files,
  })
}
