import type { CacheStats } from './byte-cache.ts'
import type { Licence, Recommended } from './manifest.ts'
import type { RgbPicture } from './read-picture.ts'
import type { SamplerName } from './sampler-table.ts'
import type { TimestepSpacing } from './scheduler-config.ts'

/** One picture to draw. */
export type ImageInput = {
  prompt: string
  /** 0 to 4294967295; a seed gives the noise torch's CPU generator gives for it. */
  seed: number
  /** Pixels, a multiple of 8. */
  width: number
  height: number
  /** Denoising steps, 1 to what the sampler has noise levels for. */
  steps: number
  /** Any spelling `samplerNamed` knows; the one recommended for the model when absent. */
  sampler?: string
  /** Classifier-free guidance; 1 and less are none, absent is the model's. Above 1 a picture costs twice the denoising. */
  guidance?: number
  /** What the picture shall not show; without effect where there is no guidance. */
  negativePrompt?: string
  /**
   * What to begin with instead of noise alone: a PNG, JPEG or WebP file, which is fitted to width and height, or what
   * `readPicture` made of one.
   */
  image?: Uint8Array | RgbPicture
  /** How far from `image` the picture may go: the share of the steps that is drawn, above 0 to 1; 0.5 when absent. */
  strength?: number
  /** Whether brackets weigh words, as AUTOMATIC1111 reads them, rather than being words; false when absent. */
  emphasis?: boolean
  /** How often the picture is shown while it is drawn, at most once between two steps; none when absent. */
  previews?: number
  /** Where the sampler's timesteps lie; the model's when absent, and without effect on samplers that do not ask. */
  timestepSpacing?: TimestepSpacing
}

/** Milliseconds spent on the batch a picture was drawn in. */
export type StageTimings = {
  encodePrompts: number
  /** Only where there was one to begin with. */
  encodeImage?: number
  steps: number[]
  /** Decoding them; only where there were some. */
  previews?: number
  decode: number
  encodePng: number
}

export type DrawnImage = {
  png: Uint8Array
  seed: number
  width: number
  height: number
  /** As asked for; from an image, `strength` of them are drawn. */
  steps: number
  timingsMs: StageTimings
  /** Own name of the sampler it was drawn with. */
  sampler?: SamplerName
  guidance?: number
  /** Only where it was drawn from an image. */
  strength?: number
  /**
   * Tokens of the prompt, and of the negative prompt where it had effect, without start and end; and how many chunks
   * of 75 they were encoded in.
   */
  tokenCounts?: TokenCounts
  /** What of the input had no effect, a sentence each. */
  warnings?: string[]
}

/** What a picture looks like so far: the clean latents that the model sees in the noise, decoded. */
export type Preview = RgbPicture & {
  /** Place of its input in the batch. */
  image: number
  /** Steps done. */
  step: number
}

export type TokenCounts = { prompt: number; negativePrompt?: number; chunks: number }

/** What the compiled model says of itself; read from its `model.json`. */
export type ModelInfo = {
  name: string
  /** Plan the compiled model computes with, such as `fp32`. */
  plan: string
  /** Size it was trained for, in pixels. */
  nativeSize: number
  recommended: Recommended
  /** Whether it has an encoder, which drawing from an image takes. */
  drawsFromImage: boolean
  licence?: Licence
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
  /** Called after each denoising step with the number of steps done (1 to those that are drawn). */
  onStep?: (step: number) => void
  /** Called with each preview that an input asks for. */
  onPreview?: (preview: Preview) => void
  /**
   * One per input. An input whose signal aborts is given up before the next denoising step, or before the next segment
   * of the model where nothing else is left to draw; what is returned for it has an empty `png`. Its batch mates are
   * drawn as if nothing had happened.
   */
  signals?: (AbortSignal | undefined)[]
}

/** Draws pictures on a thread of its own, because onnxruntime-node blocks the thread that calls `run`. */
export type Engine = {
  model: ModelInfo
  /** Threads it computes with. */
  threads: number
  /** Milliseconds it took to load the model. */
  loadMs: number
  /** Draws one batch; all inputs must agree in width, height, steps, sampler, guidance and strength. One call at a time. */
  generate(inputs: ImageInput[], options?: GenerateOptions): Promise<DrawnImage[]>
  stats(): EngineStats
  close(): Promise<void>
  /** Resolves with an error when the thread died without `close` being called. */
  died: Promise<Error>
}
