import { expect, it } from 'vitest'
import { toImageStatus, toRequestStatus } from './image-status.ts'

it.each([
  ['waiting', false, 'queued'],
  ['prioritized', false, 'queued'],
  ['delayed', true, 'queued'],
  ['waiting-children', false, 'queued'],
  ['active', false, 'queued'],
  ['active', true, 'running'],
  ['completed', true, 'succeeded'],
  ['failed', true, 'failed'],
  ['unknown', false, 'failed'],
] as const)('calls a job that is %s (begun: %s) %s', (state, isBegun, status) => {
  expect(toImageStatus(state, isBegun)).toBe(status)
})

it.each([
  [['queued', 'queued'], 'queued'],
  [['running', 'queued'], 'running'],
  [['succeeded', 'queued'], 'running'],
  [['failed', 'running'], 'running'],
  [['succeeded', 'succeeded'], 'succeeded'],
  [['succeeded', 'failed'], 'failed'],
  [['succeeded', 'canceled'], 'canceled'],
] as const)('calls a request of images %j %s', (images, status) => {
  expect(toRequestStatus([...images])).toBe(status)
})
