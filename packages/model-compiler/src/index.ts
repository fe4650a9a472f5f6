export {
  COMPILER_VERSION,
  type CompileOptions,
  type CompileProgress,
  compileModel,
  type Plan,
} from './compile.ts'
export { CompileError } from './compile-error.ts'
export { DEMO_FOLDER, type LoraChoice, type PrepareOptions, prepareModel } from './prepare-model.ts'
export { type ModelSource, openSource } from './source.ts'
