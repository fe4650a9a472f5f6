/**
 * After which of `steps` a picture is shown that is to be shown `count` times: evenly spread, and never after the last,
 * which gives the picture itself.
 */
export function previewSteps(steps: number, count: number): number[] {
  const shown = Math.min(count, steps - 1)
  return Array.from({ length: Math.max(0, shown) }, (_, i) => Math.round(((i + 1) * steps) / (shown + 1)))
}
