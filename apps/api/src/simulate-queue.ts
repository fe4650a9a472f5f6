import { type BatchShape, type BatchTimes, batchKind } from '@sdcpu/contract'

type Times = Pick<BatchTimes, 'stepMs' | 'restMs' | 'encodeImageMs'>
export type Measured = BatchShape & Times & { images: number }
export type QueuedImage = {
  id: string
  shape: BatchShape
  group: string
  /** That are drawn. */
  steps: number
  /** Whether there is a picture to begin with, which is encoded first. */
  isFromImage?: boolean
}
export type RunningBatch = { images: QueuedImage[]; step: number }
type FindTimes = (shape: BatchShape, images: number) => Times | undefined
export type SimulatedWorker = { batchMaxSize: number; running?: RunningBatch }
export type Outlook = { position: number; etaSeconds?: number }

const LOOK_AHEAD_BATCHES = 2 // as many jobs as a worker holds

/**
 * Plays forward what workers do with a queue: whoever is free takes the oldest image and those of its group among the
 * next. Gives each image's place, and the seconds until it is drawn unless there is no worker or nothing was measured.
 */
export function simulateQueue(
  queue: QueuedImage[],
  workers: SimulatedWorker[],
  measured: Measured[],
): Map<string, Outlook> {
  const outlooks = new Map<string, Outlook>(queue.map(({ id }, position) => [id, { position }]))
  const findTimes = rememberTimes(measured)
  const free = workers.map(({ batchMaxSize, running }) => ({
    batchMaxSize,
    atMs: running ? remainingMs(running, findTimes) : 0,
  }))
  for (const [i, { running }] of workers.entries())
    for (const { id } of running?.images ?? []) outlooks.set(id, { position: 0, ...eta(free[i]!.atMs) })

  const waiting = [...queue]
  while (waiting.length > 0 && free.length > 0) {
    const worker = free.reduce((first, other) => (other.atMs < first.atMs ? other : first))
    const { group } = waiting[0]!
    const inSight = waiting.slice(0, LOOK_AHEAD_BATCHES * worker.batchMaxSize)
    const batch = inSight.filter((image) => image.group === group).slice(0, worker.batchMaxSize)
    worker.atMs += batchMs(batch, findTimes)
    for (const image of batch) {
      Object.assign(outlooks.get(image.id)!, eta(worker.atMs))
      waiting.splice(waiting.indexOf(image), 1)
    }
  }
  return outlooks
}

// A worker tells each step when it is done, so the one it is at is on average half done.
function remainingMs({ images, step }: RunningBatch, findTimes: FindTimes): number {
  const { shape, steps, isFromImage } = images[0]!
  const times = findTimes(shape, images.length)
  if (!times) return Number.NaN
  const encodeMs = isFromImage && step === 0 ? (times.encodeImageMs ?? 0) / 2 : 0
  return step < steps ? encodeMs + (steps - step - 0.5) * times.stepMs + times.restMs : times.restMs / 2
}

function batchMs(images: QueuedImage[], findTimes: FindTimes): number {
  const { shape, steps, isFromImage } = images[0]!
  const times = findTimes(shape, images.length)
  if (!times) return Number.NaN
  return (isFromImage ? (times.encodeImageMs ?? 0) : 0) + steps * times.stepMs + times.restMs
}

// A queue of hundreds has but a few kinds of batches.
function rememberTimes(measured: Measured[]): FindTimes {
  const known = new Map<string, Times | undefined>()
  return (shape, images) => {
    const kind = batchKind(shape, images)
    if (!known.has(kind)) known.set(kind, timesOf(shape, images, measured))
    return known.get(kind)
  }
}

/**
 * How long such a batch takes: as measured, or else what the most similar one took, by the pixels that go through the
 * model. Time grows a little faster than pixels do, and batches save a little; both are small beside a wrong guess.
 */
function timesOf(shape: BatchShape, images: number, measured: Measured[]): Times | undefined {
  const pixels = (of: BatchShape & { images: number }) => of.width * of.height * of.images
  const own = { ...shape, images }
  const distance = (other: Measured) =>
    Math.abs(Math.log((pixels(other) * other.rows) / (pixels(own) * own.rows))) +
    (other.width === own.width && other.height === own.height ? 0 : 0.5)
  const byDistance = measured.toSorted((a, b) => distance(a) - distance(b))
  const [nearest] = byDistance
  if (!nearest) return undefined
  const ratio = pixels(own) / pixels(nearest)
  const encoded = byDistance.find(({ encodeImageMs }) => encodeImageMs !== undefined)
  return {
    stepMs: (nearest.stepMs * ratio * own.rows) / nearest.rows,
    restMs: nearest.restMs * ratio,
    encodeImageMs: encoded && (encoded.encodeImageMs! * pixels(own)) / pixels(encoded),
  }
}

function eta(ms: number): { etaSeconds?: number } {
  return Number.isFinite(ms) ? { etaSeconds: Math.round(ms / 100) / 10 } : {}
}
