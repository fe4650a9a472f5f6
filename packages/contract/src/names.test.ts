import { expect, it } from 'vitest'
import { ImageJob } from './image-job.ts'
import { isTerminal, seedOf } from './images-resource.ts'
import {
  imageBytesKey,
  imageJobId,
  imageRequestKey,
  imagesQueueName,
  knownForSeconds,
  modelAliveKey,
  modelKey,
  modelNameOf,
  modelNamesKey,
} from './names.ts'

it('makes a queue name without ":" or "/" of any model name', () => {
  expect(imagesQueueName('demo')).toBe('images.demo')
  expect(imagesQueueName('stabilityai/sdxl-turbo')).toBe('images.stabilityai--sdxl-turbo')
  expect(imagesQueueName('/models/my model:v2')).toBe('images.--models--my-model-v2')
})

it('puts every key under the prefix, so that one hash slot holds them', () => {
  expect(imageBytesKey('{sd}', 'abc', 2)).toBe('{sd}:bytes:abc:2')
  expect(imageRequestKey('{sd}', 'abc')).toBe('{sd}:requests:abc')
  expect(modelKey('{sd}', 'a/b')).toBe('{sd}:models:a--b')
  expect(modelAliveKey('{sd}', 'a/b')).toBe('{sd}:model-alive:a--b')
  expect(modelNamesKey('{sd}')).toBe('{sd}:model-names')
  expect(imageJobId('abc', 2)).toBe('abc-2')
})

it.each([
  ['demo', 'demo'],
  ['stabilityai/sdxl-turbo', 'stabilityai/sdxl-turbo'],
  ['stabilityai/sdxl-turbo@fp16', 'stabilityai/sdxl-turbo'],
  ['/srv/models/DreamShaperXL', 'DreamShaperXL'],
  ['/srv/models/DreamShaperXL/', 'DreamShaperXL'],
  ['./DreamShaperXL_Turbo.safetensors', 'DreamShaperXL_Turbo'],
  ['../models/fox', 'fox'],
  ['a/b/c.safetensors', 'c'],
])('calls the model of MODEL=%s %s, without the path', (model, name) => {
  expect(modelNameOf(model)).toBe(name)
})

it('knows a request for longer than it keeps the bytes', () => {
  expect(knownForSeconds(3600)).toBeGreaterThan(3600)
})

it('wraps seeds at 32 bits', () => {
  expect(seedOf(7, 2)).toBe(9)
  expect(seedOf(4294967295, 1)).toBe(0)
})

it('calls every status but queued and running terminal', () => {
  expect((['queued', 'running', 'succeeded', 'failed', 'canceled'] as const).map(isTerminal)).toEqual([
    false,
    false,
    true,
    true,
    true,
  ])
})

it('takes jobs of version 1, which leave sampler and guidance to the worker, and of version 2', () => {
  const job = { id: 'a', index: 0, prompt: 'x', seed: 1, width: 64, height: 64, steps: 1 }
  const guided = { ...job, version: 2, sampler: 'lcm', guidance: 2, negativePrompt: 'y', emphasis: true }
  expect(ImageJob.parse({ ...job, version: 1 })).toEqual({ ...job, version: 1 })
  expect(ImageJob.parse(guided)).toEqual(guided)
})

it('refuses a job of another version and drops fields it does not know', () => {
  const job = { version: 1, id: 'a', index: 0, prompt: 'x', seed: 1, width: 64, height: 64, steps: 1 }
  expect(ImageJob.parse({ ...job, later: true })).toEqual(job)
  expect(ImageJob.safeParse({ ...job, version: 3 }).success).toBe(false)
})
