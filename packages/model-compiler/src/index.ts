export { BOUNDS } from './audit.ts'
export {
  COMPILER_VERSION,
  type CompileOptions,
  type CompileProgress,
  compileModel,
  type Plan,
} from './compile.ts'
export { describeFigures } from './compile-audited.ts'
export { CompileError } from './compile-error.ts'
export { HubError } from './hub-error.ts'
export { type HubEnvironment, type HubOptions, readHubOptions } from './hub-options.ts'
export {
  DEMO_FOLDER,
  type LoraChoice,
  PLAN_CHOICES,
  type PlanChoice,
  type PreparedModel,
  type PrepareOptions,
  prepareModel,
  TINY_DECODER,
  type VaeChoice,
} from './prepare-model.ts'
export { type ModelSource, openSource } from './source.ts'
