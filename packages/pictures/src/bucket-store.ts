import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { type PictureStoreConfig, pictureObjectName } from '@sdcpu/contract'
import type { Picture, PictureStore } from './picture-store.ts'

const EXPIRES_AT = 'expires-at' // metadata of ours: not every store keeps the header of that purpose
const MISSING = new Set(['NoSuchKey', 'NotFound'])
const TIMEOUT_MS = 10_000 // for one try; the client tries three times

/**
 * Keeps pictures in a bucket. Each object says when it is not to be served any more; what removes it for good is a
 * lifecycle rule of the bucket, which only its owner can make.
 */
export function createBucketStore(
  config: PictureStoreConfig,
  { ttlSeconds }: { ttlSeconds: number },
): PictureStore {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = config
  const client = new S3Client({
    region: config.S3_REGION,
    forcePathStyle: config.S3_PATH_STYLE,
    ...(config.S3_ENDPOINT && { endpoint: config.S3_ENDPOINT }),
    ...(accessKeyId && secretAccessKey && { credentials: { accessKeyId, secretAccessKey } }),
    // Checksums in trailers are an extension that other stores than Amazon's refuse.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { requestTimeout: TIMEOUT_MS, connectionTimeout: TIMEOUT_MS },
  })
  const objectOf = ({ id, index }: Picture) => ({
    Bucket: config.S3_BUCKET!,
    Key: pictureObjectName(config.S3_PREFIX, id, index),
  })
  const isOver = ({ Metadata = {} }: { Metadata?: Record<string, string> }) =>
    Date.parse(Metadata[EXPIRES_AT] ?? '') <= Date.now()

  return {
    async save(picture, bytes, mediaType) {
      const Metadata = { [EXPIRES_AT]: new Date(Date.now() + ttlSeconds * 1000).toISOString() }
      await client.send(
        new PutObjectCommand({ ...objectOf(picture), Body: bytes, ContentType: mediaType, Metadata }),
      )
    },
    async read(picture) {
      const found = await ignoreMissing(client.send(new GetObjectCommand(objectOf(picture))))
      if (!found || isOver(found)) return undefined
      return found.Body?.transformToByteArray()
    },
    async has(picture) {
      const found = await ignoreMissing(client.send(new HeadObjectCommand(objectOf(picture))))
      return found !== undefined && !isOver(found)
    },
    async remove(picture) {
      await client.send(new DeleteObjectCommand(objectOf(picture)))
    },
  }
}

async function ignoreMissing<T>(pending: Promise<T>): Promise<T | undefined> {
  try {
    return await pending
  } catch (error) {
    // A bucket that is not there is a fault, and 404, too. HEAD, which has no body, cannot tell.
    if (error instanceof S3ServiceException && MISSING.has(error.name)) return undefined
    throw error
  }
}
