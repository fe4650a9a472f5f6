import { type Image, type ImagesResource, isTerminal } from '@sdcpu/contract'
import type { Update } from '../follow-images.ts'

// Hosts give up on calls that tell nothing for a minute, and some of them count only progress.
const QUIET_MS = 10_000
// Of what is left to the next whole number, where nothing has happened: MCP wants each number to be greater than the one
// before, and this lasts for longer than any host waits.
const CREEP = 1 / 8

/** As MCP tells it: places in the queue and steps, of all there are. */
export type Progress = { progress: number; total: number; message: string }

/** Makes progress that only ever grows of the updates on a request, and repeats it with a little more where none come. */
export function trackProgress(
  send: (progress: Progress) => void,
  { quietMs = QUIET_MS }: { quietMs?: number } = {},
): { update(update: Update): void; stop(): void } {
  let images: Image[] = []
  let notice: ImagesResource['notice']
  let mostAhead = 0
  let latest: Progress | undefined
  const timer = setInterval(() => {
    if (!latest) return
    const left = Math.floor(latest.progress) + 1 - latest.progress
    latest = { ...latest, progress: latest.progress + left * CREEP }
    send(latest)
  }, quietMs)

  function measure(): Progress {
    const isBegun = images.some(({ status }) => status !== 'queued')
    const ahead = isBegun ? 0 : Math.min(...images.map(({ position }) => position ?? 0))
    mostAhead = Math.max(mostAhead, ahead)
    const done = images.reduce((sum, image) => sum + unitsDone(image), 0)
    const total = images.reduce((sum, { steps }) => sum + steps + 1, mostAhead)
    const message = isBegun ? describeSteps(images) : describePlace(ahead, { images, notice })
    return { progress: mostAhead - ahead + done, total, message }
  }

  return {
    update({ name, data }) {
      if (name === 'images') {
        images = data.images
        notice = data.notice
      } else images = images.map((image) => (image.index === data.index ? data : image))
      const { progress, ...rest } = measure()
      const isFurther = latest === undefined || progress > latest.progress
      latest = { ...rest, progress: isFurther ? progress : latest!.progress }
      if (!isFurther) return
      send(latest)
      timer.refresh()
    },
    stop: () => clearInterval(timer),
  }
}

/** Steps done, and one more for what comes after the last: decoding takes as long as a step or two. */
function unitsDone({ status, step = 0, steps }: Image): number {
  return isTerminal(status) ? steps + 1 : Math.min(step, steps)
}

function describePlace(
  ahead: number,
  { images, notice }: { images: Image[]; notice: ImagesResource['notice'] },
): string {
  if (notice === 'no_worker') return 'waiting for a worker to start'
  if (notice === 'paused') return 'waiting; drawing is paused'
  const place = ahead === 0 ? 'next in the queue' : `${ahead} ${ahead === 1 ? 'image' : 'images'} before it`
  const seconds = Math.max(...images.map(({ etaSeconds }) => etaSeconds ?? 0))
  return seconds > 0 ? `${place}, done in about ${Math.ceil(seconds)} s` : place
}

function describeSteps(images: Image[]): string {
  const image = images.find(({ status }) => !isTerminal(status)) ?? images.at(-1)!
  const which = images.length > 1 ? `image ${image.index + 1} of ${images.length}, ` : ''
  const step = isTerminal(image.status) ? image.steps : (image.step ?? 0)
  return `${which}step ${step} of ${image.steps}`
}
