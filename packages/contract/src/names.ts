/** Prefix of every key. The braces make one Redis Cluster slot of them all. */
export const DEFAULT_PREFIX = '{sd}'

/** A day: how much longer a request is known than its bytes are kept, so that 410 can be told from 404. */
const KNOWN_EXTRA_SECONDS = 86_400

/** How long the record and the jobs of a request are kept, given how long its bytes are. */
export function knownForSeconds(resultTtlSeconds: number): number {
  return resultTtlSeconds + KNOWN_EXTRA_SECONDS
}

/** How long an announcement holds: longer than a cluster stays scaled to zero. */
export const MODEL_TTL_SECONDS = 30 * 86_400

/** How long a worker's sign of life holds. Workers give one three times as often. */
export const MODEL_ALIVE_SECONDS = 45

/** The queue of a model's images; BullMQ allows no ':' in it and file-like names no '/'. */
export function imagesQueueName(model: string): string {
  return `images.${slug(model)}`
}

/** Id of the job that draws one image; the same each time, so that a repeat overwrites itself. */
export function imageJobId(id: string, index: number): string {
  return `${id}-${index}`
}

/** Key of an image's bytes; written with a TTL. */
export function imageBytesKey(prefix: string, id: string, index: number): string {
  return `${prefix}:bytes:${id}:${index}`
}

/** Key of the image that a request begins with; written with a TTL, once for all images of the request. */
export function inputImageKey(prefix: string, id: string): string {
  return `${prefix}:inputs:${id}`
}

/** How long the preview of an image is kept: until those who follow have read it, and the next one is there. */
export const PREVIEW_TTL_SECONDS = 30

/** Key of the hash of an image's newest preview: `step` it was taken after, and the `file`; written with a TTL. */
export function previewKey(prefix: string, id: string, index: number): string {
  return `${prefix}:previews:${id}:${index}`
}

/** Key of the set of ids of requests like one another whose callers were lost while they waited; written with a TTL. */
export function leftKey(prefix: string, digest: string): string {
  return `${prefix}:left:${digest}`
}

/** Key of a request as it was resolved; written with a TTL. */
export function imageRequestKey(prefix: string, id: string): string {
  return `${prefix}:requests:${id}`
}

/** Key of the set of indexes of a request that are canceled; written with a TTL. */
export function canceledKey(prefix: string, id: string): string {
  return `${prefix}:canceled:${id}`
}

/** Key of the sorted set of a caller's requests by time of creation; written with a TTL. */
export function ownedKey(prefix: string, owner: string): string {
  return `${prefix}:owned:${owner}`
}

/** Key that remembers what an `Idempotency-Key` stands for; written with a TTL. */
export function idempotencyKey(prefix: string, digest: string): string {
  return `${prefix}:idempotency:${digest}`
}

/** Key under which workers announce a model (`ModelDescription` as JSON); written with a TTL. */
export function modelKey(prefix: string, model: string): string {
  return `${prefix}:models:${slug(model)}`
}

/** Key of the set of names of all models that were announced. */
export function modelNamesKey(prefix: string): string {
  return `${prefix}:model-names`
}

/** Key that is there while a worker serves the model; written with a TTL. */
export function modelAliveKey(prefix: string, model: string): string {
  return `${prefix}:model-alive:${slug(model)}`
}

const REPOSITORY = /^(\w[\w.-]*\/\w[\w.-]*?)(?:@.*)?$/

/**
 * The name a model is offered by, given what `MODEL` says: a repository's without its revision, and of a path the last
 * part, for where it lies is nobody's business.
 */
export function modelNameOf(model: string): string {
  const repository = REPOSITORY.exec(model)?.[1]
  if (repository) return repository
  const last = model.split(/[\\/]/).findLast((part) => part !== '' && part !== '.') ?? model
  return last.replace(/\.safetensors$/, '')
}

/** Key of the set of ids of the workers of a model, dead ones included. */
export function workersKey(prefix: string, model: string): string {
  return `${prefix}:workers:${slug(model)}`
}

/** Key of what a worker says of itself (`WorkerStatus` as JSON); written with a TTL. */
export function workerKey(prefix: string, model: string, worker: string): string {
  return `${prefix}:worker:${slug(model)}:${worker}`
}

/** Key of the hash of how long batches of a model take (`BatchTimes` as JSON, by `batchKind`); written with a TTL. */
export function batchTimesKey(prefix: string, model: string): string {
  return `${prefix}:batch-times:${slug(model)}`
}

/** Key of the set of keys of jobs that a caller waits for; written with a TTL. */
export function unfinishedKey(prefix: string, caller: string): string {
  return `${prefix}:unfinished:${caller}`
}

/** Key of what a caller has used up of its rate; written with a TTL. */
export function rateKey(prefix: string, caller: string): string {
  return `${prefix}:rate:${caller}`
}

function slug(model: string): string {
  return model.replaceAll('/', '--').replaceAll(/[^\w.-]/g, '-')
}
