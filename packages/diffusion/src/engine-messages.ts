import type { ModelCheck } from './check-files.ts'
import type { DrawnImage, EngineStats, ImageInput, ModelInfo, Preview } from './engine.ts'

/** What the engine's thread is started with. */
export type EngineOptions = {
  /** Folder of a compiled model. */
  modelDir: string
  /** Threads ONNX Runtime computes with. */
  threads: number
  /** How the model's files are checked. */
  check: ModelCheck
}

/** `aborted` is shared memory, because a thread that computes reads no messages: 1 where an input is given up. */
export type ToEngine = { inputs: ImageInput[]; aborted: Int32Array }

export type FromEngine =
  | { kind: 'ready'; model: ModelInfo; loadMs: number; stats: EngineStats }
  | { kind: 'step'; step: number }
  | { kind: 'preview'; preview: Preview }
  | { kind: 'drawn'; images: DrawnImage[]; stats: EngineStats }
  | { kind: 'failed'; error: Error }
