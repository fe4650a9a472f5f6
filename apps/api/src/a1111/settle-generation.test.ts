import type { Model } from '@sdcpu/contract'
import { expect, it } from 'vitest'
import { Txt2ImgBody } from './generation-body.ts'
import { settleGeneration } from './settle-generation.ts'

const MODEL: Model = {
  ...{ name: 'demo', plan: 'fp32', family: 'turbo', nativeSize: 512, sizes: ['512x512'] },
  ...{ defaultSteps: 4, maxSteps: 8, defaultGuidance: 1, defaultSampler: 'euler_a' },
  ...{ timestepSpacing: 'trailing', isDefault: true, status: 'ready' },
}
const settle = (body: object, own: Partial<Model> = {}) =>
  settleGeneration(Txt2ImgBody.parse({ prompt: 'x', ...body }), { ...MODEL, ...own })

it.each([
  [{}, undefined],
  [{ width: 512, height: 768 }, '512x768'],
  [{ width: 640 }, '640x512'],
  [{ height: 384 }, '512x384'],
  [{ width: 500, height: 333 }, '504x336'],
  [{ width: 1536, height: 1024 }, '1024x680'],
  [{ width: 2048, height: 2048 }, '1024x1024'],
  [{ width: 10_000, height: 100 }, '1024x64'],
  [{ width: 1, height: 1 }, '64x64'],
])('draws %j as %s, and tells where that is not what was asked', (asked, size) => {
  const { create, warnings } = settle(asked)
  expect(create.size).toBe(size)
  const { width = 512, height = 512 } = asked as { width?: number; height?: number }
  const isAsked = size === undefined || size === `${width}x${height}`
  expect(warnings).toEqual(
    isAsked ? [] : [expect.stringMatching(`^the size was ${width}x${height};.*${size}$`)],
  )
})

it.each([
  [1, 8, 4, 1],
  [8, 8, 4, 8],
  [undefined, 8, 4, 4],
  [0, 8, 4, 4],
  [20, 8, 4, 4],
  [9, 8, 4, 4],
  [50, 50, 30, 50],
])('draws %s steps on a model for up to %i, made for %i, as %i', (asked, maxSteps, defaultSteps, drawn) => {
  expect(settle({ steps: asked }, { maxSteps, defaultSteps }).create.steps).toBe(drawn)
})

it.each([
  [7, 1, 1],
  [2, 1, 2],
  [2.1, 1, 1],
  [0, 1, 0],
  [undefined, 2, 2],
  [4, 2, 4],
  [7, 2, 2],
  [7, 5, 7],
  [15, 5, 15],
  [1.5, 0, 1.5],
])('draws a cfg_scale of %s on a model made for %s with %s', (asked, defaultGuidance, drawn) => {
  expect(settle({ cfg_scale: asked }, { defaultGuidance }).create.guidance).toBe(drawn)
})

it.each([
  [-1, undefined],
  [-7, undefined],
  [0, 0],
  [4294967295, 4294967295],
  [4294967296, 0],
  [1e12 + 7, (1e12 + 7) % 2 ** 32],
])('takes of the seed %i what has an effect: %s', (asked, seed) => {
  expect(settle({ seed: asked }).create.seed).toBe(seed)
})
