import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type FloatTensor,
  type GraphOptions,
  type GraphSession,
  type OpenGraph,
  openGraph,
  release,
} from '@sdcpu/diffusion'
import { type LayerProbe, probeName, type ReferenceProbes } from './compile.ts'
import type { Range } from './graph.ts'
import type { IntegerScheme } from './scheme.ts'

/** Energy of a layer's output, and of the error of each integer scheme it was tried in. */
export type Energies = { exact: number; errors: Partial<Record<IntegerScheme, number>> }

/**
 * Opens graphs when they are first run and closes those used longest ago, so that a model can be run whose weights do not
 * fit in memory together.
 */
export type GraphPool = {
  openWith: OpenGraph
  /** Notes the ranges of the first `images` of each batch from here on, `margin` times as large as they were. */
  noteRanges(options: { images: number; margin?: number }): void
  /**
   * Runs probing graphs from here on, which try layers with the ranges noted, and collects what they say. Closes those that
   * are open: what probing takes would come on top of them.
   */
  probe(): Promise<void>
  /** The largest magnitude that a layer is to hold, by part and layer. */
  ranges: Map<string, number>
  /** By part and layer, summed over all probing runs. */
  energies: Map<string, Energies>
  /** Milliseconds spent running graphs, not opening them, since the last call. */
  takeRunMs(): number
  close(): Promise<void>
}

type GraphInputs = Parameters<GraphSession['run']>[0]

/**
 * @param options.maxBytes weights of the graphs that are open at a time; one graph may be larger
 * @param options.reference where the graphs are those of a reference, what they tell about their layers
 */
export function createGraphPool({
  maxBytes,
  reference = {},
  open = openGraph,
}: {
  maxBytes: number
  reference?: ReferenceProbes
  open?: OpenGraph
}): GraphPool {
  const opened = new Map<string, { session: GraphSession; bytes: number }>()
  const energies = new Map<string, Energies>()
  const ranges = new Map<string, number>()
  let isProbing = false
  let noted = { images: 0, margin: 1 }
  let runMs = 0

  async function acquire(folder: string, name: string, options: GraphOptions) {
    const known = opened.get(name)
    // A map keeps insertion order: what is used goes to its end.
    opened.delete(name)
    const bytes = known?.bytes ?? (await stat(join(folder, `${name}.weights`))).size
    if (!known) await makeRoom(bytes)
    const session = known?.session ?? (await open(folder, name, options))
    opened.set(name, { session, bytes })
    return session
  }

  async function makeRoom(bytes: number): Promise<void> {
    let total = [...opened.values()].reduce((sum, entry) => sum + entry.bytes, bytes)
    for (const [name, entry] of opened) {
      if (total <= maxBytes) return
      opened.delete(name)
      await entry.session.close()
      total -= entry.bytes
    }
  }

  /**
   * Runs a graph that also gives what its layers read and made, and tries each layer on that. Every graph is closed as
   * soon as it has run: what it keeps would come on top of what the next one takes.
   */
  async function runProbing(
    { folder, name, options }: { folder: string; name: string; options: GraphOptions },
    probes: LayerProbe[],
    inputs: GraphInputs,
  ): Promise<Record<string, FloatTensor>> {
    const outputs = await runOnce(folder, probeName(name), options, inputs)
    for (const probe of probes) {
      const found = await runOnce(folder, probe.compare, options, {
        x: outputs[probe.x]!,
        exact: outputs[probe.exact]!,
        ...(probe.schemes.includes('int8-static') && { range: scalar(ranges.get(probe.layer) ?? 0) }),
      })
      add(probe, found.energies!.data)
    }
    const taps = new Set(probes.flatMap(({ x, exact }) => [x, exact]))
    for (const tap of taps) release(outputs[tap]!)
    return Object.fromEntries(Object.entries(outputs).filter(([output]) => !taps.has(output)))
  }

  async function runItself(
    { folder, name, options }: { folder: string; name: string; options: GraphOptions },
    inputs: GraphInputs,
  ): Promise<Record<string, FloatTensor>> {
    const session = await acquire(folder, name, options)
    const started = performance.now()
    const outputs = await session.run(inputs)
    runMs += performance.now() - started
    return outputs
  }

  /** Takes the ranges out of what a graph gave. */
  function takeRanges(outputs: Record<string, FloatTensor>, told: Range[]): Record<string, FloatTensor> {
    for (const { layer, output } of told) {
      const seen = outputs[output]!.data.subarray(0, noted.images)
      if (seen.length > 0)
        ranges.set(layer, Math.max(noted.margin * Math.max(...seen), ranges.get(layer) ?? 0))
    }
    const taken = new Set(told.map(({ output }) => output))
    return Object.fromEntries(Object.entries(outputs).filter(([output]) => !taken.has(output)))
  }

  async function closeAll(): Promise<void> {
    for (const { session } of opened.values()) await session.close()
    opened.clear()
  }

  async function runOnce(folder: string, name: string, options: GraphOptions, inputs: GraphInputs) {
    const session = await open(folder, name, options)
    try {
      return await session.run(inputs)
    } finally {
      await session.close()
    }
  }

  function add({ layer, schemes }: LayerProbe, [exact, ...errors]: Float32Array): void {
    const before = energies.get(layer)
    energies.set(layer, {
      exact: exact! + (before?.exact ?? 0),
      errors: Object.fromEntries(
        schemes.map((scheme, k) => [scheme, errors[k]! + (before?.errors[scheme] ?? 0)]),
      ),
    })
  }

  return {
    ranges,
    energies,
    openWith: async (folder, name, options) => ({
      name,
      async run(inputs) {
        const { probes, ranges: told } = reference[name] ?? { probes: [], ranges: [] }
        const graph = { folder, name, options }
        const outputs =
          isProbing && probes.length > 0
            ? await runProbing(graph, probes, inputs)
            : await runItself(graph, inputs)
        return takeRanges(outputs, told)
      },
      close: async () => {},
      endProfile() {},
    }),
    noteRanges({ images, margin = 1 }) {
      noted = { images, margin }
    },
    async probe() {
      isProbing = true
      await closeAll()
    },
    takeRunMs() {
      const taken = runMs
      runMs = 0
      return taken
    },
    close: closeAll,
  }
}

const scalar = (value: number): FloatTensor => ({ data: Float32Array.of(value), dims: [] })
