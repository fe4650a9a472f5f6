/** A compiled model cannot be used: its folder is incomplete, damaged or not of this version. Compile it again. */
export class ModelError extends Error {
  override name = 'ModelError'
}
