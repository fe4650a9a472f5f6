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

export type GenerateOptions = {
  /** Called after each denoising step with the number of steps done (1 to steps). */
  onStep?: (step: number) => void
}

/** Draws pictures on a thread of its own, because onnxruntime-node blocks the thread that calls `run`. */
export type Engine = {
  model: ModelInfo
  /** Milliseconds it took to load the model. */
  loadMs: number
  /** Draws one batch; all inputs must agree in width, height and steps. One call at a time. */
  generate(inputs: ImageInput[], options?: GenerateOptions): Promise<DrawnImage[]>
  close(): Promise<void>
  /** Resolves with an error when the thread died without `close` being called. */
  died: Promise<Error>
}
