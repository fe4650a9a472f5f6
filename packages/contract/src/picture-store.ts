import { z } from 'zod'

/** Where pictures are kept; the same variables for every part that reaches them. */
export const PictureStoreConfig = z.object({
  PICTURE_STORE: z
    .enum(['redis', 's3'])
    .default('redis')
    .describe('Where pictures are kept: in Redis, or in an S3-compatible bucket'),
  S3_BUCKET: z.string().optional().describe('Bucket; only with PICTURE_STORE=s3'),
  S3_PREFIX: z.string().default('').describe('What the name of every picture in the bucket begins with'),
  S3_ENDPOINT: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("Address of a store that is not Amazon's, such as MinIO or OSS"),
  S3_REGION: z.string().default('us-east-1').describe('Region of the bucket'),
  S3_PATH_STYLE: z
    .enum(['true', 'false'])
    .default('false')
    .transform((text) => text === 'true')
    .describe('Whether the bucket stands in the path instead of the host name, as MinIO wants it'),
  AWS_ACCESS_KEY_ID: z
    .string()
    .optional()
    .describe('Who asks; default: what the machine or the pod is given'),
  AWS_SECRET_ACCESS_KEY: z.string().optional().describe('The secret of AWS_ACCESS_KEY_ID'),
})
export type PictureStoreConfig = z.infer<typeof PictureStoreConfig>

/** What no single variable can tell is wrong. */
export function checkPictureStoreConfig(config: PictureStoreConfig, context: z.RefinementCtx): void {
  const fault = (path: keyof PictureStoreConfig, message: string) =>
    context.addIssue({ code: 'custom', path: [path], message })
  if (config.PICTURE_STORE === 's3' && !config.S3_BUCKET)
    fault('S3_BUCKET', 'is missing; PICTURE_STORE=s3 needs one')
  if (Boolean(config.AWS_ACCESS_KEY_ID) !== Boolean(config.AWS_SECRET_ACCESS_KEY))
    fault('AWS_ACCESS_KEY_ID', 'and AWS_SECRET_ACCESS_KEY must be given together')
}

/** Name of a picture in a bucket. */
export function pictureObjectName(prefix: string, id: string, index: number): string {
  return `${prefix}${id}/${index}`
}
