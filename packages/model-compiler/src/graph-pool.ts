import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type FloatTensor, type GraphSession, type OpenGraph, openGraph } from '@sdcpu/diffusion'
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

/** @param maxBytes weights of the graphs that are open at a time; one graph may be larger */
export function createGraphPool({ maxBytes }: { maxBytes: number }): GraphPool {
  const opened = new Map<string, { session: GraphSession; bytes: number }>()
  const energies = new Map<string, Energies>()
  let probed: ReferenceProbes | undefined
  let runMs = 0

  async function acquire(folder: string, name: string, file: string, threads: number) {
    const known = opened.get(file)
    // A map keeps insertion order: what is used goes to its end.
    opened.delete(file)
    const bytes = known?.bytes ?? (await stat(join(folder, `${name}.weights`))).size
    if (!known) await makeRoom(bytes)
    const session = known?.session ?? (await openGraph(folder, file, { threads }))
    opened.set(file, { session, bytes })
    return session
  }

  async function makeRoom(bytes: number): Promise<void> {
    let total = [...opened.values()].reduce((sum, entry) => sum + entry.bytes, bytes)
    for (const [file, entry] of opened) {
      if (total <= maxBytes) return
      opened.delete(file)
      await entry.session.close()
      total -= entry.bytes
    }
  }

  /** Tries a layer on what it read and made, and adds up what that says. */
  async function collect(
    folder: string,
    { layer, compare, ...taps }: LayerProbe,
    outputs: Record<string, FloatTensor>,
    threads: number,
  ): Promise<void> {
    const session = await openGraph(folder, compare, { threads })
    const found = await session.run({ x: outputs[taps.x]!, exact: outputs[taps.exact]! })
    await session.close()
    const before = energies.get(layer)
    energies.set(
      layer,
      Array.from(found.energies!.data, (value, k) => value + (before?.[k] ?? 0)) as Energies,
    )
  }

  return {
    energies,
    openWith: async (folder, name, { threads }) => ({
      name,
      async run(inputs) {
        const probes = probed?.[name] ?? []
        const session = await acquire(folder, name, probes.length > 0 ? probeName(name) : name, threads)
        const started = performance.now()
        const outputs = await session.run(inputs)
        runMs += performance.now() - started
        for (const probe of probes) await collect(folder, probe, outputs, threads)
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
