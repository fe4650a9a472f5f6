import type { CacheStats } from './byte-cache.ts'
import type { SamplerName } from './sampler-table.ts'

/** One picture to draw. */
export type ImageInput = {
  prompt: string
  /** 0 to 4294967295; a seed gives the noise torch's CPU generator gives for it. */
  seed: number
  /** Pixels, a multiple of 8. */
  width: number
  height: number
  /** Denoising steps, 1 to 8. */
  steps: number
  /** Any spelling `samplerNamed` knows; the model's own sampler when absent. */
  sampler?: string
  /** Classifier-free guidance; 1, the default, and less are none. Above 1 a picture costs twice the denoising. */
  guidance?: number
  /** What the picture shall not show; without effect where there is no guidance. */
  negativePrompt?: string
  /** Whether brackets weigh words, as AUTOMATIC1111 reads them, rather than being words; false when absent. */
  emphasis?: boolean
}

/** Milliseconds spent on the batch a picture was drawn in. */
export type StageTimings = { encodePrompts: number; steps: number[]; decode: number; encodePng: number }

export type DrawnImage = {
  png: Uint8Array
  seed: number
  width: number
  height: number
  steps: number
  timingsMs: StageTimings
  /** Own name of the sampler it was drawn with. */
  sampler?: SamplerName
  guidance?: number
  /** Tokens of the prompt, and of the negative prompt where it had effect, without start and end. */
  tokenCounts?: { prompt: number; negativePrompt?: number }
  /** What of the input had no effect, a sentence each. */
  warnings?: string[]
}

/** What the compiled model says of itself; read from its `model.json`. */
export type ModelInfo = {
  name: string
  /** Plan the compiled model computes with, such as `fp32`. */
  plan: string
  /** Size it was trained for, in pixels. */
  nativeSize: number
  defaultSteps: number
}

/** What the engine kept of earlier prompts, as of the last picture. */
export type EngineStats = {
  caches: {
    /** Text embeddings. */
    embeddings: CacheStats
    /** Keys and values of the denoiser's cross-attentions. */
    promptKeys: CacheStats
  }
}

export type GenerateOptions = {
  /** Called after each denoising step with the number of steps done (1 to steps). */
  onStep?: (step: number) => void
}

/** Draws pictures on a thread of its own, because onnxruntime-node blocks the thread that calls `run`. */
export type Engine = {
  model: ModelInfo
  /** Milliseconds it took to load the model. */
  loadMs: number
  /** Draws one batch; all inputs must agree in width, height, steps, sampler and guidance. One call at a time. */
  generate(inputs: ImageInput[], options?: GenerateOptions): Promise<DrawnImage[]>
  stats(): EngineStats
  close(): Promise<void>
  /** Resolves with an error when the thread died without `close` being called. */
  died: Promise<Error>
}
