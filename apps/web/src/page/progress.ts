// Types only: the contract's values would bring all of zod into the page.
import type { Image, ImageStatus, ImagesResource } from '@sdcpu/contract'

/** Where a request stands, in the terms the page shows. */
export type Progress =
  /** `position`: how many pictures are drawn before it, where the API tells. */
  | { phase: 'waiting'; position?: number }
  | { phase: 'drawing'; step: number; steps: number }
  | { phase: 'finishing' }
  | { phase: 'partly'; ready: number; count: number }
  | { phase: TerminalStatus }

type TerminalStatus = Exclude<ImageStatus, 'queued' | 'running'>

/** Says whether a status is the last one. */
export function isTerminal(status: ImageStatus): status is TerminalStatus {
  return status !== 'queued' && status !== 'running'
}

/** Says where a request stands as a whole. */
export function progressOf(request: ImagesResource): Progress {
  const { status, images } = request
  if (isTerminal(status)) return { phase: status }
  const ready = images.filter((image) => image.status === 'succeeded').length
  if (images.length > 1 && ready > 0) return { phase: 'partly', ready, count: images.length }
  const running = images.find((image) => image.status === 'running')
  if (running) return progressOfImage(running)
  const positions = images.flatMap(({ position }) => position ?? [])
  return positions.length > 0 ? { phase: 'waiting', position: Math.min(...positions) } : { phase: 'waiting' }
}

/** Says where one picture stands. */
export function progressOfImage(image: Image): Progress {
  if (isTerminal(image.status)) return { phase: image.status }
  if (image.status === 'queued') {
    return image.position === undefined
      ? { phase: 'waiting' }
      : { phase: 'waiting', position: image.position }
  }
  const done = image.step ?? 0
  if (done >= image.steps) return { phase: 'finishing' }
  return { phase: 'drawing', step: done + 1, steps: image.steps }
}

/** The parts of the progress bar, each 0 to 1: the steps of a single picture, or the pictures when there are more. */
export function progressParts({ images }: Pick<ImagesResource, 'images'>): number[] {
  const [only] = images
  if (only && images.length === 1) {
    const done = stepsDone(only)
    return Array.from({ length: only.steps }, (_, step) => (step < done ? 1 : 0))
  }
  return images.map((image) => stepsDone(image) / image.steps)
}

/** How much of a request is done, 0 to 1; a picture that will not be drawn any more is done. */
export function fractionDone(images: Image[]): number {
  const steps = images.reduce((sum, image) => sum + image.steps, 0)
  const done = images.reduce(
    (sum, image) => sum + (isTerminal(image.status) ? image.steps : (image.step ?? 0)),
    0,
  )
  return steps === 0 ? 0 : done / steps
}

/** Seconds until the last picture is there, as the API foretold them `ageMs` ago; nothing where it did not. */
export function secondsLeft(images: Image[], ageMs: number): number | undefined {
  const etas = images.flatMap(({ status, etaSeconds }) => (isTerminal(status) ? [] : (etaSeconds ?? [])))
  if (etas.length === 0) return undefined
  return Math.max(1, Math.round(Math.max(...etas) - ageMs / 1000))
}

/** Seconds until a request is done if it goes on as it did in `runningMs`; nothing before its first step. */
export function secondsLeftAtPace(images: Image[], runningMs: number): number | undefined {
  const done = fractionDone(images)
  if (done === 0) return undefined
  return Math.max(1, Math.round((runningMs / 1000) * (1 / done - 1)))
}

function stepsDone(image: Image): number {
  return image.status === 'succeeded' ? image.steps : (image.step ?? 0)
}
