import type { CompileProgress } from '@sdcpu/model-compiler'

/** A line of progress for a person; without a total there is nothing to be a share of. */
export function progressLine({ message, done, total }: CompileProgress): string {
  return total > 0 ? `${message} (${Math.round((100 * done) / total)} %)` : message
}
