import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { WorkerConfig } from '../../apps/worker/src/config.ts'
import { CHART, CHARTS } from './render.ts'

type Preset = { memory: Record<string, string>; storage: string }

const presets: Record<string, Record<string, Preset>> = parse(
  readFileSync(join(CHART, 'files', 'presets.yaml'), 'utf8'),
)
const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8'))
const measured = readFileSync(join(CHARTS, '..', 'docs', 'performance.md'), 'utf8')
const plans: string[] = WorkerConfig.shape.PLAN.unwrap().options

// What was measured is the process alone; the container holds caches of files and the batch's neighbours too.
const HEADROOM = 1.1
const GENEROUS = 2.5

const sizes: string[] = schema.properties.worker.properties.largestSize.enum

describe('the presets', () => {
  it('know every plan that the worker has, and every size and plan that the values offer', () => {
    for (const [kind, byPlan] of Object.entries(presets)) {
      expect(Object.keys(byPlan), kind).toEqual(plans)
      for (const { memory } of Object.values(byPlan)) expect(Object.keys(memory), kind).toEqual(sizes)
    }
    expect(schema.properties.worker.properties.plan.enum).toEqual(plans)
  })

  it.each([
    ['sdxl', 'fp32', '512x512', /\| peak memory of the process \| ([\d.]+) GB/],
    ['sdxl', 'fp32', '1024x1024', /\| fp32: peak memory of the process at 1024x1024 \| ([\d.]+) GB/],
    ['sdxl', 'int8', '512x512', /\| int8: peak memory of the process at 512x512 \| ([\d.]+) GB/],
    ['sdxl', 'int8', '1024x1024', /\| int8: peak memory of the process at 1024x1024 \| ([\d.]+) GB/],
    [
      'demo',
      'fp32',
      '512x512',
      /\| demo model, four pictures of 512x512 in a batch, peak memory \| ([\d.]+) GB/,
    ],
    ['demo', 'fp32', '1024x1024', /\| demo model, one picture of 1024x1024, peak memory \| ([\d.]+) GB/],
  ])('give a worker of %s with plan %s more memory for %s than was measured', (kind, plan, size, figure) => {
    expect(bytesOf(presets[kind]![plan]!.memory[size]!)).toBeGreaterThan(HEADROOM * gigabytes(figure))
  })

  it('are not far more than what a full-size model was measured to take', () => {
    const bytes = gigabytes(/\| peak memory of the process \| ([\d.]+) GB/)
    expect(bytesOf(presets.sdxl!.fp32!.memory['512x512']!)).toBeLessThan(GENEROUS * bytes)
  })

  it('give a larger picture at least as much, and int8 and auto what fp32 has, since they are tried against it', () => {
    for (const byPlan of Object.values(presets))
      for (const { memory, storage } of Object.values(byPlan)) {
        for (const [i, size] of sizes.entries()) {
          const before = memory[sizes[i - 1] ?? size]!
          expect(bytesOf(memory[size]!)).toBeGreaterThanOrEqual(bytesOf(before))
          expect(bytesOf(memory[size]!)).toBeGreaterThanOrEqual(bytesOf(byPlan.fp32!.memory[size]!))
        }
        expect(bytesOf(storage)).toBeGreaterThanOrEqual(bytesOf(byPlan.fp32!.storage))
      }
  })

  it('give a full-size model room for its source and what is compiled from it', () => {
    const bytes = gigabytes(/\| compile, ([\d.]+) GB of fp16/) + gigabytes(/of fp16 to ([\d.]+) GB of fp32/)
    expect(bytesOf(presets.sdxl!.fp32!.storage)).toBeGreaterThan(HEADROOM * bytes)
  })
})

function gigabytes(pattern: RegExp): number {
  const figure = pattern.exec(measured)?.[1]
  if (!figure) throw new Error(`docs/performance.md has nothing like ${pattern}`)
  return Number(figure) * 1e9
}

const bytesOf = (size: string) => Number.parseInt(size, 10) * 2 ** (size.endsWith('Gi') ? 30 : 20)
