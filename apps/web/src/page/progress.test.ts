import type { Image, ImagesResource } from '@sdcpu/contract'
import { describe, expect, it } from 'vitest'
import { isTerminal, progressOf, progressParts } from './progress.ts'

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
