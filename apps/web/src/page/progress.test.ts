import type { Image, ImagesResource } from '@sdcpu/contract'
import { describe, expect, it } from 'vitest'
import {
  fractionDone,
  isTerminal,
  progressOf,
  progressParts,
  secondsLeft,
  secondsLeftAtPace,
} from './progress.ts'

const queued: Image = { index: 0, seed: 7, status: 'queued', steps: 4 }
const running = (step?: number): Image => ({ ...queued, status: 'running', step })
const succeeded: Image = { ...queued, status: 'succeeded' }
const failed: Image = { ...queued, status: 'failed' }

describe('isTerminal', () => {
  it('holds for the statuses after which nothing changes', () => {
    const statuses = ['queued', 'running', 'succeeded', 'failed', 'canceled'] as const
    expect(statuses.filter(isTerminal)).toEqual(['succeeded', 'failed', 'canceled'])
  })
})

describe('progressOf', () => {
  it('counts the step that is being done, not those that are', () => {
    expect(progressOf(requestOf('running', [running()]))).toEqual({ phase: 'drawing', step: 1, steps: 4 })
    expect(progressOf(requestOf('running', [running(3)]))).toEqual({ phase: 'drawing', step: 4, steps: 4 })
  })

  it('finishes after the last step, while the picture is decoded', () => {
    expect(progressOf(requestOf('running', [running(4)]))).toEqual({ phase: 'finishing' })
  })

  it('waits while no picture is begun', () => {
    expect(progressOf(requestOf('queued', [queued, queued]))).toEqual({ phase: 'waiting' })
  })

  it('counts pictures once one of several is there', () => {
    const images = [succeeded, failed, running(1), queued]
    expect(progressOf(requestOf('running', images))).toEqual({ phase: 'partly', ready: 1, count: 4 })
  })

  it('ends with the status of the request', () => {
    expect(progressOf(requestOf('failed', [succeeded, failed]))).toEqual({ phase: 'failed' })
  })
})

describe('the queue', () => {
  it('tells how many are before the first of the pictures', () => {
    const images = [
      { ...queued, position: 5 },
      { ...queued, position: 4 },
    ]
    expect(progressOf(requestOf('queued', images))).toEqual({ phase: 'waiting', position: 4 })
  })
})

describe('secondsLeft', () => {
  it('is the time until the last picture, counted from when the API foretold it', () => {
    const images = [succeeded, { ...running(1), etaSeconds: 6 }, { ...queued, etaSeconds: 20 }]
    expect(secondsLeft(images, 0)).toBe(20)
    expect(secondsLeft(images, 4500)).toBe(16)
  })

  it('never says zero before it is over', () => {
    expect(secondsLeft([{ ...running(3), etaSeconds: 2 }], 60_000)).toBe(1)
  })

  it('says nothing where the API foretells nothing, or where all is over', () => {
    expect(secondsLeft([queued], 0)).toBeUndefined()
    expect(secondsLeft([{ ...succeeded, etaSeconds: 3 }], 0)).toBeUndefined()
  })
})

describe('secondsLeftAtPace', () => {
  it('takes the steps to come to be as long as those that are done', () => {
    expect(secondsLeftAtPace([running(1)], 2000)).toBe(6)
    expect(secondsLeftAtPace([succeeded, running(2), queued, queued], 6000)).toBe(10)
  })

  it('says nothing before the first step', () => {
    expect(secondsLeftAtPace([running(0), queued], 5000)).toBeUndefined()
  })
})

describe('fractionDone', () => {
  it('counts the steps of all pictures, those that will not come as done', () => {
    expect(fractionDone([succeeded, failed, running(2), queued])).toBe(10 / 16)
  })
})

describe('progressParts', () => {
  it('has a part a step for a single picture', () => {
    expect(progressParts({ images: [queued] })).toEqual([0, 0, 0, 0])
    expect(progressParts({ images: [running(3)] })).toEqual([1, 1, 1, 0])
    expect(progressParts({ images: [succeeded] })).toEqual([1, 1, 1, 1])
  })

  it('has a part a picture for several', () => {
    expect(progressParts({ images: [succeeded, running(1), queued] })).toEqual([1, 0.25, 0])
  })
})

function requestOf(status: ImagesResource['status'], images: Image[]): ImagesResource {
  const request = { model: 'demo', prompt: 'a fox', n: images.length, seed: 7, size: '256x256', steps: 4 }
  return {
    id: 'a',
    status,
    createdAt: '2026-01-01T00:00:00Z',
    request: { ...request, format: 'png' },
    images,
  }
}
