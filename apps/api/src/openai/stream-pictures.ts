import { type Image, isTerminal } from '@sdcpu/contract'
import type { EventStream } from '../event-stream.ts'
import type { Update } from '../follow-images.ts'
import type { RequestRecord } from '../request-records.ts'
import { type EventKind, toCompletedEvent, toPartialEvent } from './openai-answer.ts'
import type { ReadPreview } from './previews.ts'

export type PictureStream = {
  /** Sends the newest preview of an image, where it was not sent before and the image is not done. */
  showPreview(index: number): void
  /** Sends what an update brings. */
  update(update: Update): void
  /** Resolves when everything is sent. @throws what went wrong while reading it */
  settle(): Promise<void>
}

/** Sends the images of a request as OpenAI's events: previews as they come, images that are done in their order. */
export function createPictureStream(
  stream: EventStream,
  { id, createdAt, request }: RequestRecord,
  {
    kind,
    readPreview,
    readImage,
  }: { kind: EventKind; readPreview: ReadPreview; readImage: (index: number) => Promise<Uint8Array> },
): PictureStream {
  const images: Image[] = []
  const shown = new Map<number, { step: number; count: number }>()
  let done = 0
  let sending = Promise.resolve()

  // One after the other: an image must not overtake its previews, nor the image before it.
  function then(send: () => Promise<void>): void {
    sending = sending.then(send)
    sending.catch(() => {}) // `settle` tells
  }

  async function sendPreview(index: number): Promise<void> {
    if (index < done || images[index]?.status === 'succeeded') return
    const { step: last, count } = shown.get(index) ?? { step: 0, count: 0 }
    const preview = await readPreview(id, index)
    if (!preview || preview.step <= last) return
    shown.set(index, { step: preview.step, count: count + 1 })
    await stream.send(toPartialEvent({ kind, createdAt, request, index, file: preview.file, number: count }))
  }

  async function sendDone(): Promise<void> {
    for (let image = images[done]; image && isTerminal(image.status); image = images[done]) {
      done++
      if (image.status !== 'succeeded') continue
      const file = await readImage(image.index)
      await stream.send(toCompletedEvent({ kind, createdAt, request, file, image }))
    }
  }

  return {
    showPreview: (index) => then(() => sendPreview(index)),
    update({ name, data }) {
      then(async () => {
        for (const image of name === 'images' ? data.images : [data]) images[image.index] = image
        await sendDone()
      })
    },
    settle: () => sending,
  }
}
