/** Parts of the work that are measured by themselves, and a whole picture. */
export const STAGES = ['text', 'unet', 'decode', 'picture'] as const
export type Stage = (typeof STAGES)[number]

/** One piece of work, the same for every engine. */
export type Work = {
  stage: Stage
  /** Images at once. */
  batch: number
  /** Denoising steps of a picture; the stage `unet` is one step. */
  steps: number
  width: number
  height: number
}

/** How a piece of work went; one process did nothing else. */
export type Measurement = Work & {
  engine: string
  threads: number
  loadSeconds: number
  /** Each timed run, the warm-up before them left out. */
  seconds: number[]
  /** Most memory the process ever had, the loaded weights included. */
  peakRssBytes: number
  /** Products of a run in 10^9 multiply-adds, as computed: a layer computed twice counts twice. */
  gmac?: number
  /** Of a batch, where it fits into the memory beside a single image of the same work: seconds of both, run by run in turns. */
  besideSingle?: { single: number[]; batch: number[] }
}

/** Other work slows a run down and nothing speeds it up, so the quickest one is nearest the truth. */
export const bestSeconds = ({ seconds }: Pick<Measurement, 'seconds'>): number => Math.min(...seconds)

/** The one in the middle, or the mean of the two there. */
export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[upper]! : (sorted[upper - 1]! + sorted[upper]!) / 2
}

/** What a batch takes of the time of as many single images, by the medians of runs in turns; undefined where none were made. */
export function shareOfSingles({
  batch,
  besideSingle: turns,
}: Pick<Measurement, 'batch' | 'besideSingle'>): number | undefined {
  return turns && median(turns.batch) / (batch * median(turns.single))
}

/** The work that `npm run bench` does: every stage at every batch size, pictures also at every number of steps. */
export function planWork({
  stages,
  batches,
  steps,
  width,
  height,
}: {
  stages: readonly Stage[]
  batches: readonly number[]
  steps: readonly number[]
  width: number
  height: number
}): Work[] {
  return stages.flatMap((stage) =>
    (stage === 'picture' ? steps : [1]).flatMap((count) =>
      batches.map((batch) => ({ stage, batch, steps: count, width, height })),
    ),
  )
}

/** A short name of a piece of work: `unet-b1`, `picture-b4-s1`. */
export function nameOf({ stage, batch, steps }: Work): string {
  return stage === 'picture' ? `${stage}-b${batch}-s${steps}` : `${stage}-b${batch}`
}
