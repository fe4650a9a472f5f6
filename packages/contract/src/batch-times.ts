import { z } from 'zod'
import type { ImageJob } from './image-job.ts'

/** How long a batch of one kind takes, as a worker has measured. */
export const BatchTimes = z.object({
  /** Milliseconds of one step of the whole batch. */
  stepMs: z.number(),
  /** Milliseconds of everything else: prompts, decoding, files. */
  restMs: z.number(),
  /** Milliseconds more where the batch begins with pictures, to encode them; absent before there was one. */
  encodeImageMs: z.number().optional(),
  /** How many batches were measured. */
  batches: z.int().default(1),
})
export type BatchTimes = z.infer<typeof BatchTimes>

/** What the time of a step depends on, apart from how many images there are. */
export type BatchShape = { width: number; height: number; rows: number }

/** The shape of a batch of such images; `rows` is how often the model is asked for one image in one step. */
export function batchShape({
  width,
  height,
  guidance = 1,
  sampler,
}: Pick<ImageJob, 'width' | 'height' | 'guidance' | 'sampler'>): BatchShape {
  return { width, height, rows: (guidance > 1 ? 2 : 1) * (sampler === 'dpmpp_sde_karras' ? 2 : 1) }
}

/** Names a kind of batch. */
export function batchKind({ width, height, rows }: BatchShape, images: number): string {
  return `${width}x${height} ${rows} ${images}`
}

/** Reads what `batchKind` wrote; nothing of another version's. */
export function readBatchKind(text: string): (BatchShape & { images: number }) | undefined {
  const [width, height, rows, images] = /^(\d+)x(\d+) (\d+) (\d+)$/.exec(text)?.slice(1).map(Number) ?? []
  return width && height && rows && images ? { width, height, rows, images } : undefined
}
