import { expect, it } from 'vitest'
import { type Measured, type QueuedImage, simulateQueue } from './simulate-queue.ts'

const small = { width: 512, height: 512, rows: 1 }
const image = (id: string, changes: Partial<QueuedImage> = {}): QueuedImage => ({
  ...{ id, shape: small, group: 'small', steps: 4 },
  ...changes,
})
const measured: Measured[] = [
  { ...small, images: 1, stepMs: 1000, restMs: 2000 },
  { ...small, images: 2, stepMs: 1800, restMs: 4000 },
]
const idle = { batchMaxSize: 2 }
const etas = (outlooks: ReturnType<typeof simulateQueue>) =>
  Object.fromEntries([...outlooks].map(([id, { etaSeconds }]) => [id, etaSeconds]))

it('draws in batches of one group, the oldest first, and tells when each ends', () => {
  const queue = [image('a'), image('odd', { group: 'other', steps: 1 }), image('b'), image('c')]
  const outlooks = simulateQueue(queue, [idle], measured)
  // a and b: 4 x 1.8 + 4; odd: 1 x 1 + 2; c: 4 x 1 + 2
  expect(etas(outlooks)).toEqual({ a: 11.2, b: 11.2, odd: 14.2, c: 20.2 })
  expect([...outlooks.values()].map(({ position }) => position)).toEqual([0, 1, 2, 3])
})

it('halves the wait with a second worker', () => {
  const queue = ['a', 'b', 'c', 'd'].map((id) => image(id))
  expect(etas(simulateQueue(queue, [idle, idle], measured))).toEqual({ a: 11.2, b: 11.2, c: 11.2, d: 11.2 })
})

it('waits for what a worker is drawing, less what it has done', () => {
  const running = { images: [image('now')], step: 2 }
  const outlooks = simulateQueue([image('next')], [{ batchMaxSize: 2, running }], measured)
  expect(etas(outlooks)).toEqual({ now: 3.5, next: 9.5 }) // 1.5 steps and the rest
})

it('takes the time to encode a picture to begin with into account, also from batches of another size', () => {
  const times = [...measured, { ...small, width: 256, images: 1, stepMs: 1, restMs: 1, encodeImageMs: 300 }]
  const queue = [image('from', { isFromImage: true, group: 'from' }), image('plain')]
  const workers = [{ batchMaxSize: 1 }, { batchMaxSize: 1 }]
  expect(etas(simulateQueue(queue, workers, times))).toEqual({ from: 6.6, plain: 6 })
  const running = (step: number) => ({ batchMaxSize: 1, running: { images: [queue[0]!], step } })
  expect(etas(simulateQueue([], [running(0)], times))).toEqual({ from: 5.8 }) // half of it, and 3.5 steps
  expect(etas(simulateQueue([], [running(1)], times))).toEqual({ from: 4.5 })
})

it('scales what it has never seen from what is most like it', () => {
  const large = { width: 1024, height: 512, rows: 1 }
  const guided = { ...small, rows: 2 }
  const queue = [image('large', { shape: large, group: 'l' }), image('guided', { shape: guided, group: 'g' })]
  const outlooks = simulateQueue(queue, [{ batchMaxSize: 1 }, { batchMaxSize: 1 }], measured)
  expect(etas(outlooks).large).toBeGreaterThan(10)
  expect(etas(outlooks).large).toBeLessThan(13)
  expect(etas(outlooks).guided).toBe(9.2) // two rows, like two images, and the rest of one
})

it('tells no time without a worker or a measurement, and places all the same', () => {
  const queue = [image('a'), image('b')]
  for (const outlooks of [simulateQueue(queue, [], measured), simulateQueue(queue, [idle], [])]) {
    expect(etas(outlooks)).toEqual({ a: undefined, b: undefined })
    expect(outlooks.get('b')?.position).toBe(1)
  }
})
