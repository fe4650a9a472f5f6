/**
 * A model cannot be compiled: a file is missing, damaged or holds something this compiler does not know.
 * The message names file, tensor or key, what was expected and what was found. Trying again does not help.
 */
export class CompileError extends Error {
  override name = 'CompileError'
}
