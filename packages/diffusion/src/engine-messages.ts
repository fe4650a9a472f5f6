import type { ModelCheck } from './check-files.ts'
import type { DrawnImage, ImageInput, ModelInfo } from './engine.ts'

/** What the engine's thread is started with. */
export type EngineOptions = {
  /** Folder of a compiled model. */
  modelDir: string
  /** Threads ONNX Runtime computes with. */
  threads: number
  /** How the model's files are checked. */
  check: ModelCheck
}

export type ToEngine = { inputs: ImageInput[] }

export type FromEngine =
  | { kind: 'ready'; model: ModelInfo; loadMs: number }
  | { kind: 'step'; step: number }
  | { kind: 'drawn'; images: DrawnImage[] }
  | { kind: 'failed'; error: Error }
