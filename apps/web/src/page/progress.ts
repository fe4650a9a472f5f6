// Types only: the contract's values would bring all of zod into the page.
import type { Image, ImageStatus, ImagesResource } from '@sdcpu/contract'

/** Where a request stands, in the terms the page shows. */
export type Progress =
  | { phase: 'waiting' }
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
  return { phase: 'waiting' }
}

/** Says where one picture stands. */
export function progressOfImage(image: Image): Progress {
  if (isTerminal(image.status)) return { phase: image.status }
  if (image.status === 'queued') return { phase: 'waiting' }
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

function stepsDone(image: Image): number {
  return image.status === 'succeeded' ? image.steps : (image.step ?? 0)
}
