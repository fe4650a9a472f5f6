export { DEFAULT_STRENGTH, drawnSteps } from './batch-settings.ts'
export type { CacheStats } from './byte-cache.ts'
export { MODEL_CHECKS, type ModelCheck } from './check-files.ts'
export { convertPng } from './convert-png.ts'
export { type CpuBudget, chooseThreads, readCpuBudget } from './cpu-budget.ts'
export { addsIn32Bits, CPU_CLASSES, type CpuClass, classifyCpu, detectCpuClass } from './cpu-class.ts'
export { decode, type Pixels } from './decode.ts'
export { type ConditioningGroup, encodeBatch } from './encode-batch.ts'
export { type EncodedPicture, encodePicture, encodePictures } from './encode-pictures.ts'
export { type Conditioning, encodePrompts } from './encode-prompts.ts'
export type {
  DrawnImage,
  Engine,
  EngineStats,
  GenerateOptions,
  ImageInput,
  ModelInfo,
  Preview,
  StageTimings,
  TokenCounts,
} from './engine.ts'
export { generate } from './generate.ts'
export {
  type FloatTensor,
  type GraphOptions,
  type GraphSession,
  type OpenGraph,
  openGraph,
  release,
} from './graph-session.ts'
export { type Audit, Licence, MANIFEST_VERSION, Manifest, Recommended } from './manifest.ts'
export {
  describeModel,
  type LoadOptions,
  loadDecoder,
  loadDenoiser,
  loadModel,
  loadTextEncoders,
  type Model,
  readManifest,
} from './model.ts'
export { ModelError } from './model-error.ts'
export { createGenerator, drawNoise, type Generator } from './noise.ts'
export { encodePng, formatParameters, type PictureParameters } from './png.ts'
export { previewSteps } from './preview-steps.ts'
export { MAX_PICTURE_PIXELS, type RgbPicture, readPicture } from './read-picture.ts'
export { sample } from './sample.ts'
export { type Denoise, sampleEulerAncestral } from './sampler.ts'
export {
  defaultSampler,
  SAMPLER_NAMES,
  type SamplerName,
  samplerAliases,
  samplerNamed,
} from './sampler-table.ts'
export { buildSchedule, type Schedule } from './schedule.ts'
export { SchedulerConfig, TIMESTEP_SPACINGS, type TimestepSpacing } from './scheduler-config.ts'
export { startEngine } from './start-engine.ts'
export { stripInputs } from './strip-inputs.ts'
export { loadTokenizer, type Tokenizer } from './tokenizer.ts'
