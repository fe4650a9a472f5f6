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

/** Energy of a layer's output, and of the error of each integer scheme, in the order of `INTEGER_SCHEMES`. */
export type Energies = [exact: number, ...errors: number[]]

/**
 * Opens graphs when they are first run and closes those used longest ago, so that a model can be run whose weights do not
 * fit in memory together.
 */
export type GraphPool = {
  openWith: OpenGraph
  /** Runs probing graphs from here on, and collects what they say. */
  probe(probes: ReferenceProbes): void
  /** Runs the graphs themselves from here on. */
  stopProbing(): void
  /** By part and layer, summed over all probing runs. */
  energies: Map<string, Energies>
  /** Milliseconds spent running graphs, not opening them, since the last call. */
  takeRunMs(): number
  close(): Promise<void>
}

type GraphInputs = Parameters<GraphSession['run']>[0]

/** @param options.maxBytes weights of the graphs that are open at a time; one graph may be larger */
export function createGraphPool({
  maxBytes,
  open = openGraph,
}: {
  maxBytes: number
  open?: OpenGraph
}): GraphPool {
  const opened = new Map<string, { session: GraphSession; bytes: number }>()
  const energies = new Map<string, Energies>()
  let probed: ReferenceProbes | undefined
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
    for (const { layer, compare, ...taps } of probes) {
      const found = await runOnce(folder, compare, options, {
        x: outputs[taps.x]!,
        exact: outputs[taps.exact]!,
      })
      add(layer, found.energies!.data)
    }
    const taps = new Set(probes.flatMap(({ x, exact }) => [x, exact]))
    for (const tap of taps) release(outputs[tap]!)
    return Object.fromEntries(Object.entries(outputs).filter(([output]) => !taps.has(output)))
  }

  async function runOnce(folder: string, name: string, options: GraphOptions, inputs: GraphInputs) {
    const session = await open(folder, name, options)
    try {
      return await session.run(inputs)
    } finally {
      await session.close()
    }
  }

  function add(layer: string, found: Float32Array): void {
    const before = energies.get(layer)
    energies.set(layer, Array.from(found, (value, k) => value + (before?.[k] ?? 0)) as Energies)
  }

  return {
    energies,
    openWith: async (folder, name, options) => ({
      name,
      async run(inputs) {
        const probes = probed?.[name] ?? []
        if (probes.length > 0) return runProbing({ folder, name, options }, probes, inputs)
        const session = await acquire(folder, name, options)
        const started = performance.now()
        const outputs = await session.run(inputs)
        runMs += performance.now() - started
        return outputs
      },
      close: async () => {},
      endProfile() {},
    }),
    probe(probes) {
      probed = probes
    },
    stopProbing() {
      probed = undefined
    },
    takeRunMs() {
      const taken = runMs
      runMs = 0
      return taken
    },
    async close() {
      for (const { session } of opened.values()) await session.close()
      opened.clear()
    },
  }
}
