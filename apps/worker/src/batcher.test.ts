import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { createBatcher } from './batcher.ts'

/** Batches numbers by their tens; `calls` holds each call's inputs. */
function tensBatcher({ maxSize = 4, runMs = 30, windowMs = 1 } = {}) {
  const calls: number[][] = []
  const batcher = createBatcher<number, number>(
    async (inputs) => {
      calls.push(inputs)
      await sleep(runMs)
      return inputs.map((input) => input * 2)
    },
    { maxSize, windowMs, groupOf: (input) => String(Math.floor(input / 10)) },
  )
  return { ...batcher, calls }
}

it('fills the next batch while run is busy', async () => {
  const { submit, calls } = tensBatcher()
  const first = submit(0)
  await sleep(10)
  expect(await Promise.all([first, ...[1, 2, 3, 4, 5].map(submit)])).toEqual([0, 2, 4, 6, 8, 10])
  expect(calls).toEqual([[0], [1, 2, 3, 4], [5]])
})

it('puts only one group in a batch', async () => {
  const { submit, calls } = tensBatcher()
  await Promise.all([1, 11, 2, 12].map(submit))
  expect(calls).toEqual([
    [1, 2],
    [11, 12],
  ])
})

it('keeps a batch as small as its inputs ask for', async () => {
  const calls: number[][] = []
  const { submit } = createBatcher<number, number>(
    async (inputs) => {
      calls.push(inputs)
      return inputs
    },
    { maxSize: 4, maxSizeOf: (input) => input, windowMs: 1, groupOf: String },
  )
  await Promise.all([2, 2, 2, 1, 1, 9, 9, 9, 9, 9].map(submit))
  expect(calls).toEqual([[2, 2], [2], [1], [1], [9, 9, 9, 9], [9]])
})

it('serves a rare group when its turn comes, however many others follow', async () => {
  const { submit, calls } = tensBatcher({ maxSize: 2 })
  const all = [1, 2, 99, 3, 4, 5, 6].map(submit)
  await sleep(10)
  all.push(...[7, 8].map(submit))
  await Promise.all(all)
  expect(calls).toEqual([[1, 2], [99], [3, 4], [5, 6], [7, 8]])
})

it('rejects every input of a failed batch and serves the next', async () => {
  let calls = 0
  const { submit } = createBatcher<number, number>(
    async (inputs) => {
      if (calls++ === 0) throw new Error('out of memory')
      return inputs
    },
    { maxSize: 2, windowMs: 0, groupOf: () => '' },
  )
  const results = await Promise.allSettled([1, 2, 3].map(submit))
  expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected', 'fulfilled'])
})

it('calls a wrong number of outputs a bug and loses nothing silently', async () => {
  const { submit } = createBatcher<number, number>(async () => [], {
    maxSize: 1,
    windowMs: 0,
    groupOf: () => '',
  })
  await expect(submit(1)).rejects.toThrow(/This is a bug/)
})

it('lets the running batch end when stopped, and rejects the rest and what comes later', async () => {
  const { submit, stop, calls } = tensBatcher({ maxSize: 1 })
  const running = submit(1)
  await sleep(10)
  const rejected: number[] = []
  const held = [2, 3].map((input) => submit(input).catch(() => rejected.push(input)))
  stop(new Error('shutting down'))
  await Promise.all(held)
  expect(rejected).toEqual([3, 2])
  await expect(submit(4)).rejects.toThrow('shutting down')
  expect(await running).toBe(2)
  expect(calls).toEqual([[1]])
})

it('runs nothing when stopped while a short batch waits for company', async () => {
  const { submit, stop, calls } = tensBatcher({ windowMs: 20 })
  const held = submit(1)
  stop(new Error('shutting down'))
  await expect(held).rejects.toThrow('shutting down')
  await sleep(30)
  expect(calls).toEqual([])
})
