import { setTimeout as sleep } from 'node:timers/promises'
import type { Image, ImagesResource } from '@sdcpu/contract'
import { expect, it, onTestFinished } from 'vitest'
import { type Progress, trackProgress } from './track-progress.ts'

const NEVER_MS = 1_000_000

function track(quietMs = NEVER_MS) {
  const told: Progress[] = []
  const progress = trackProgress((one) => told.push(one), { quietMs })
  onTestFinished(progress.stop)
  return { told, ...progress }
}

const image = (index: number, fields: Partial<Image>): Image => ({
  ...{ index, seed: index, status: 'queued', steps: 2 },
  ...fields,
})
const whole = (images: Image[], fields: Partial<ImagesResource> = {}) =>
  ({ name: 'images', data: { images, ...fields } as ImagesResource }) as const
const one = (index: number, fields: Partial<Image>) =>
  ({ name: 'image', id: '1-1', data: image(index, fields) }) as const

it('counts places in the queue, then steps, then the end of each image', () => {
  const { told, update } = track()
  update(whole([image(0, { position: 2, etaSeconds: 11.2 }), image(1, { position: 4, etaSeconds: 20 })]))
  update(whole([image(0, { position: 1 }), image(1, { position: 3 })]))
  update(whole([image(0, { position: 0 }), image(1, { position: 2 })]))
  for (const step of [0, 1, 2]) update(one(0, { status: 'running', step }))
  update(one(0, { status: 'succeeded' }))
  update(one(1, { status: 'running', step: 1 }))
  update(whole([image(0, { status: 'succeeded' }), image(1, { status: 'succeeded' })]))
  expect(told.map(({ progress, total }) => [progress, total])).toEqual([
    ...[0, 1, 2].map((places) => [places, 8]),
    ...[3, 4, 5, 6, 8].map((units) => [units, 8]),
  ])
  expect(told.map(({ message }) => message)).toEqual([
    ...['2 images before it, done in about 20 s', '1 image before it', 'next in the queue'],
    ...['image 1 of 2, step 1 of 2', 'image 1 of 2, step 2 of 2', 'image 2 of 2, step 0 of 2'],
    ...['image 2 of 2, step 1 of 2', 'image 2 of 2, step 2 of 2'],
  ])
})

it('says why nothing moves', () => {
  const { told, update } = track()
  update(whole([image(0, { position: 0 })], { notice: 'no_worker' }))
  expect(told[0]).toEqual({ progress: 0, total: 3, message: 'waiting for a worker to start' })
  const paused = track()
  paused.update(whole([image(0, { position: 0 })], { notice: 'paused' }))
  expect(paused.told[0]?.message).toBe('waiting; drawing is paused')
})

it('never tells less than before, though others come first or a step is drawn again', () => {
  const { told, update } = track()
  update(whole([image(0, { position: 1 })]))
  update(whole([image(0, { position: 3 })]))
  update(one(0, { status: 'running', step: 2 }))
  update(one(0, { status: 'running', step: 0 }))
  update(one(0, { status: 'running', step: 1 }))
  expect(told.map(({ progress }) => progress)).toEqual([0, 5])
})

it('goes on telling while nothing happens, always more, and never as much as the next step', async () => {
  const { told, update, stop } = track(20)
  update(whole([image(0, { position: 0, etaSeconds: 3 })]))
  await expect.poll(() => told.length, { timeout: 10_000 }).toBeGreaterThan(4)
  update(one(0, { status: 'running', step: 1 }))
  const numbers = told.map(({ progress }) => progress)
  expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b))
  expect(numbers.at(-1)).toBe(1)
  expect(told.at(-2)?.message).toBe('next in the queue, done in about 3 s')
  stop()
  const count = told.length
  await sleep(100)
  expect(told.length).toBe(count)
})
