import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type CpuClass, MANIFEST_VERSION, Manifest } from '@sdcpu/diffusion'
import { buildAutoencoder, describeAutoencoder } from './autoencoder.ts'
import { CompileError } from './compile-error.ts'
import type { Graph, Probe, Range } from './graph.ts'
import { type LoraFile, mergeLoras } from './lora.ts'
import { encodeOnnx, type OnnxInitializer } from './onnx.ts'
import { recommend } from './recommend.ts'
import {
  FP32_PLAN,
  type GraphPlan,
  int8Plan,
  type LayerChoices,
  type Scheme,
  weightLimitOf,
} from './scheme.ts'
import { type ModelSource, PARTS, type Part } from './source.ts'
import { buildTextEncoder } from './text-encoder.ts'
import { buildUnet } from './unet.ts'
import { storedBytes, writeWeightPack } from './weight-pack.ts'
import type { WeightsSource } from './weights-source.ts'

/** Raised when the graphs, packs or manifest of the same source would come out different. */
export const COMPILER_VERSION = '10'

export type Plan = Manifest['plan']

/** `done` and `total` count bytes of compiled weights. */
export type CompileProgress = { message: string; done: number; total: number }

export type CompileOptions = {
  name: string
  plan: Plan
  /** CPU that integer products are made for; the plan fp32 runs on every one. */
  cpuClass?: CpuClass
  /** Layers, by part and layer, that the plan int8 treats otherwise than most. */
  choices?: LayerChoices
  /** Figures of the audit that decided for this plan. */
  audit?: Manifest['audit']
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

type Built = { graph: Graph; part: Part }

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
  const planOf = graphPlans(options)
  return withParts(source, options, async (parts) => {
    const { built, graphs } = buildGraphs(source, parts, planOf)
    const files = await writeAll(folder, built, options, ({ graph, part }) =>
      writeGraph(folder, graph, parts[part]),
    )
    for (const [path, from] of Object.entries(source.tokenizerFiles))
      files[path] = await putInto(folder, path, from)
    const manifest = describe(source, options, graphs, { files, layers: schemesOf(built) })
    await writeManifest(folder, manifest)
    return manifest
  })
}

/** How a layer of a reference is tried: outputs of the graph that probes, and the graph that compares them. */
export type LayerProbe = Omit<Probe, 'compare'> & { compare: string }

/** What the graphs of a reference tell about their layers, by graph; layers are named by part and layer. */
export type ReferenceProbes = Record<string, { probes: LayerProbe[]; ranges: Range[] }>

/**
 * Compiles a source as fp32 for an audit: graphs of a step also hand out the range of what their layers read. Beside each
 * graph `NAME.onnx` lies `NAME.probe.onnx`, over the same pack, which hands out what its layers read and make, and for
 * each layer `NAME.probe.N.onnx`, which tries it in whole numbers as `cpuClass` would compute it.
 * @throws CompileError when the weights do not fit the configs.
 */
export async function compileReference(
  source: ModelSource,
  folder: string,
  options: CompileOptions & { cpuClass: CpuClass },
): Promise<ReferenceProbes> {
  const weightLimit = weightLimitOf(options.cpuClass)
  return withParts(source, options, async (parts) => {
    const planOf = (part: Part): GraphPlan => ({ ...FP32_PLAN, ranges: part === 'unet' })
    const { built, graphs } = buildGraphs(source, parts, planOf)
    const probing = buildGraphs(source, parts, (part) => ({
      ...planOf(part),
      weightLimit,
      probes: true,
    })).built
    const files = await writeAll(folder, built, options, async ({ graph, part }, i) => {
      const { probes, ...twin } = probing[i]!.graph
      for (const { compare } of probes) await writeGraph(folder, compare, parts[part])
      return writeGraph(folder, graph, parts[part], { ...twin, probes, name: probeName(graph.name) })
    })
    for (const [path, from] of Object.entries(source.tokenizerFiles))
      files[path] = await putInto(folder, path, from)
    const fp32: CompileOptions = { ...options, plan: 'fp32' }
    await writeManifest(folder, describe(source, fp32, graphs, { files, layers: {} }))
    return Object.fromEntries(
      probing.map(({ graph, part }) => [
        graph.name,
        {
          probes: graph.probes.map((probe) => ({
            ...probe,
            layer: `${part}/${probe.layer}`,
            compare: probe.compare.name,
          })),
          ranges: graph.ranges.map((range) => ({ ...range, layer: `${part}/${range.layer}` })),
        },
      ]),
    )
  })
}

/** Writes `model.json`. */
export function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  return writeFile(join(folder, 'model.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}

async function withParts<T>(
  source: ModelSource,
  { loras = [] }: CompileOptions,
  use: (parts: Record<Part, WeightsSource>) => Promise<T>,
): Promise<T> {
  const parts = await openParts(source, loras)
  try {
    return await use(parts)
  } finally {
    await closeAll(parts)
  }
}

/** Writes graph after graph. All were built before: a missing tensor is found before gigabytes are written. */
async function writeAll(
  folder: string,
  built: Built[],
  { name, onProgress }: CompileOptions,
  write: (built: Built, index: number) => Promise<Manifest['files']>,
): Promise<Manifest['files']> {
  await mkdir(folder, { recursive: true })
  const files: Manifest['files'] = {}
  const total = built.reduce((sum, { graph }) => sum + packBytes(graph), 0)
  let done = 0
  for (const [i, entry] of built.entries()) {
    onProgress?.({ message: `Compiling ${entry.graph.name}`, done, total })
    Object.assign(files, await write(entry, i))
    done += packBytes(entry.graph)
  }
  onProgress?.({ message: `Compiled ${name}`, done: total, total })
  return files
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

/** How the layers of each part compute. */
function graphPlans({ plan, cpuClass, choices }: CompileOptions): (part: Part) => GraphPlan {
  if (plan === 'fp32') return () => FP32_PLAN
  if (!cpuClass)
    throw new CompileError(
      'plan int8 needs an x86-64 CPU with AVX2, which this machine has not; compile with plan fp32',
    )
  return (part) =>
    int8Plan(weightLimitOf(cpuClass), {
      schemes: ofPart(part, choices?.schemes ?? {}),
      ranges: ofPart(part, choices?.ranges ?? {}),
    })
}

/** What is said of the layers of one part, by the names they have there. */
function ofPart<T>(part: Part, byLayer: Record<string, T>): Record<string, T> {
  const own = Object.entries(byLayer).filter(([name]) => name.startsWith(`${part}/`))
  return Object.fromEntries(own.map(([name, value]) => [name.slice(part.length + 1), value]))
}

/** Schemes of the layers by part and layer; parts name their layers alike. */
function schemesOf(built: Built[]): Record<string, Scheme> {
  return Object.fromEntries(
    built.flatMap(({ graph, part }) => graph.layers.map(({ name, scheme }) => [`${part}/${name}`, scheme])),
  )
}

function buildGraphs(
  source: ModelSource,
  parts: Record<Part, WeightsSource>,
  planOf: (part: Part) => GraphPlan,
): { built: Built[]; graphs: Manifest['graphs'] } {
  const textEncoder = buildTextEncoder('text_encoder', source.textEncoder, parts.text_encoder, {
    projected: false,
    plan: planOf('text_encoder'),
  })
  const textEncoder2 = buildTextEncoder('text_encoder_2', source.textEncoder2, parts.text_encoder_2, {
    projected: true,
    plan: planOf('text_encoder_2'),
  })
  const { context, steps } = buildUnet(source.unet, parts.unet, planOf('unet'))
  const { decoder, encoder } = buildAutoencoder(source.vae, parts.vae, planOf('vae'))
  const names = (list: Graph[]) => list.map((graph) => graph.name)
  return {
    built: [
      { graph: textEncoder, part: 'text_encoder' },
      { graph: textEncoder2, part: 'text_encoder_2' },
      ...[context, ...steps].map((graph): Built => ({ graph, part: 'unet' })),
      ...[...decoder, ...encoder].map((graph): Built => ({ graph, part: 'vae' })),
    ],
    graphs: {
      textEncoder: textEncoder.name,
      textEncoder2: textEncoder2.name,
      context: context.name,
      denoiser: names(steps),
      decoder: names(decoder),
      encoder: names(encoder),
    },
  }
}

const packBytes = (graph: Graph) => graph.weights.reduce((sum, weight) => sum + storedBytes(weight), 0)

/** Writes a graph and its pack, and another graph over the same pack where there is one. */
async function writeGraph(
  folder: string,
  graph: Graph,
  weights: WeightsSource,
  twin?: Graph,
): Promise<Manifest['files']> {
  const location = `${graph.name}.weights`
  const pack = await writeWeightPack(join(folder, location), location, graph.weights, weights)
  const model = encode(graph, pack.initializers)
  await writeFile(join(folder, `${graph.name}.onnx`), model)
  if (twin) await writeFile(join(folder, `${twin.name}.onnx`), encode(twin, pack.initializers))
  return {
    [`${graph.name}.onnx`]: { bytes: model.length, sha256: sha256(model) },
    [location]: { bytes: pack.bytes, sha256: pack.sha256 },
  }
}

/** File name, without ending, of the graph that probes another. */
export const probeName = (graph: string): string => `${graph}.probe`

function encode(graph: Graph, packed: OnnxInitializer[]): Uint8Array {
  return encodeOnnx({ ...graph, initializers: [...graph.initializers, ...packed] }, COMPILER_VERSION)
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
  { files, layers }: { files: Manifest['files']; layers: Record<string, Scheme> },
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
    ...(options.plan === 'int8' && { cpuClass: options.cpuClass, layers }),
    audit: options.audit,
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
