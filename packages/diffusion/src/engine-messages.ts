import type { DrawnImage, EngineStats, ImageInput, ModelInfo } from './engine.ts'

/** What the engine's thread is started with. */
export type EngineOptions = {
  /** Folder of a compiled model. */
  modelDir: string
  /** Threads ONNX Runtime computes with. */
  threads: number
}

export type ToEngine = { inputs: ImageInput[] }

export type FromEngine =
  | { kind: 'ready'; model: ModelInfo; loadMs: number; stats: EngineStats }
  | { kind: 'step'; step: number }
  | { kind: 'drawn'; images: DrawnImage[]; stats: EngineStats }
  | { kind: 'failed'; error: Error }
