import { z } from 'zod'

/** How long a worker counts as alive after its last sign of life. */
export const WORKER_TTL_SECONDS = 15

/** What a worker says of itself every few seconds. */
export const WorkerStatus = z
  .object({
    id: z.string(),
    startedAt: z.iso.datetime(),
    plan: z.string(),
    threads: z.int(),
    batchMaxSize: z.int(),
    cpu: z.object({
      model: z.string(),
      features: z.array(z.string()).describe('Of those that matter for drawing'),
    }),
    rssBytes: z.int(),
    maxPixels: z.int().optional().describe('Of the largest image that fits into its memory, as measured'),
    imagesPerMinute: z.number().describe('Over the last five minutes'),
  })
  .meta({ id: 'WorkerStatus' })
export type WorkerStatus = z.infer<typeof WorkerStatus>

/** What `GET /api/v1/scaling` answers, for what decides how many workers there are. */
export const ScalingResource = z
  .object({
    backlog: z
      .int()
      .describe('Images that wait or are drawn; nothing of paused queues, which more workers do not help'),
    models: z.array(z.object({ name: z.string(), backlog: z.int(), workers: z.int() })),
  })
  .meta({ id: 'ScalingResource' })
export type ScalingResource = z.infer<typeof ScalingResource>

/** What `GET /api/v1/system` answers. */
export const SystemResource = z
  .object({
    models: z
      .array(
        z.object({
          name: z.string(),
          plan: z.string(),
          isDefault: z.boolean(),
          queue: z.object({
            waiting: z.int(),
            limit: z.int().describe('Images that may wait before more are refused'),
            active: z.int().describe('Images that a worker holds'),
            isPaused: z.boolean(),
          }),
          workers: z.array(WorkerStatus).describe('Those alive now'),
          imagesPerMinute: z.number(),
        }),
      )
      .describe('Those that a worker has announced'),
  })
  .meta({ id: 'SystemResource' })
export type SystemResource = z.infer<typeof SystemResource>
