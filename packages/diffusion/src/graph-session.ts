import './no-telemetry.ts'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { ModelError } from './model-error.ts'

/** A float32 tensor: values and shape. */
export type FloatTensor = { data: Float32Array; dims: readonly number[] }
/**
 * Gives a tensor's memory back at once; its values are gone. The collector sees a small object and would let hundreds of
 * megabytes wait.
 */
export function release({ data }: Pick<GraphInput, 'data'>): void {
  ;(data.buffer as ArrayBuffer).transfer(0)
}

export type GraphInput = FloatTensor | { data: Int32Array; dims: readonly number[] }

/** One graph of a compiled model, ready to run. */
export type GraphSession = {
  name: string
  /**
   * Runs the graph; blocks the thread meanwhile.
   * @throws ModelError when the inputs are not the graph's own
   */
  run(inputs: Record<string, GraphInput>): Promise<Record<string, FloatTensor>>
  /** Frees its memory. */
  close(): Promise<void>
  /** Writes the profile of the runs so far, where one was asked for; later runs are not profiled. */
  endProfile(): void
}

export type GraphOptions = {
  threads: number
  /** Whether memory of a run is kept for the next one (default). */
  keepMemory?: boolean
  /** Folder where ONNX Runtime writes a profile, `<graph>_<time>.json`, when `endProfile` is called. */
  profileDir?: string
}

export type OpenGraph = (folder: string, name: string, options: GraphOptions) => Promise<GraphSession>

/** Opens a graph and lets ONNX Runtime prepare its weights. */
export async function openGraph(
  folder: string,
  name: string,
  { threads, keepMemory = true, profileDir }: GraphOptions,
): Promise<GraphSession> {
  const path = join(folder, `${name}.onnx`)
  const session = await InferenceSession.create(path, {
    intraOpNumThreads: threads,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
    enableCpuMemArena: keepMemory,
    ...(profileDir !== undefined && { enableProfiling: true, profileFilePrefix: join(profileDir, name) }),
    // The sessions of a process take turns; idle threads that spin slow the one at work by a sixth.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  }).catch((cause) => {
    throw new ModelError(`${path} cannot be opened: ${(cause as Error).message}`, { cause })
  })
  return {
    name,
    async run(inputs) {
      const feeds: Record<string, Tensor> = {}
      for (const input of session.inputNames) {
        const value = inputs[input]
        if (!value)
          throw new ModelError(`${path} wants input ${input}; the model was compiled by another version`)
        feeds[input] =
          value.data instanceof Float32Array
            ? new Tensor('float32', value.data, value.dims)
            : new Tensor('int32', value.data, value.dims)
      }
      const results = await session.run(feeds)
      return Object.fromEntries(
        Object.entries(results).map(([output, tensor]) => [
          output,
          { data: tensor.data as Float32Array, dims: tensor.dims },
        ]),
      )
    },
    endProfile: () => session.endProfiling(),
    close: () => session.release(),
  }
}
