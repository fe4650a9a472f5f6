import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { WorkerConfig } from '../../apps/worker/src/config.ts'
import { CHART, CHARTS } from './render.ts'

type Preset = { memory: string; storage: string }

const presets: Record<string, Record<string, Preset>> = parse(
  readFileSync(join(CHART, 'files', 'presets.yaml'), 'utf8'),
)
const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8'))
const measured = readFileSync(join(CHARTS, '..', 'docs', 'performance.md'), 'utf8')
const plans: string[] = WorkerConfig.shape.PLAN.unwrap().options

// What was measured is the process alone; the container holds caches of files and the batch's neighbours too.
const HEADROOM = 1.1
const GENEROUS = 2.5

describe('the presets', () => {
  it('know every plan that the worker has, and the values offer the same', () => {
    for (const [kind, byPlan] of Object.entries(presets)) expect(Object.keys(byPlan), kind).toEqual(plans)
    expect(schema.properties.worker.properties.plan.enum).toEqual(plans)
  })

  it('give a full-size model more memory than its process was measured to take, and not far more', () => {
    const bytes = gigabytes(/\| peak memory of the process \| ([\d.]+) GB/)
    expect(bytesOf(presets.sdxl!.fp32!.memory)).toBeGreaterThan(HEADROOM * bytes)
    expect(bytesOf(presets.sdxl!.fp32!.memory)).toBeLessThan(GENEROUS * bytes)
  })

  it('give int8 and auto at least what fp32 has, since they are tried against it', () => {
    for (const byPlan of Object.values(presets))
      for (const plan of ['auto', 'int8'])
        for (const key of ['memory', 'storage'] as const)
          expect(bytesOf(byPlan[plan]![key])).toBeGreaterThanOrEqual(bytesOf(byPlan.fp32![key]))
  })

  it('give a full-size model room for its source and what is compiled from it', () => {
    const bytes = gigabytes(/\| compile, ([\d.]+) GB of fp16/) + gigabytes(/of fp16 to ([\d.]+) GB of fp32/)
    expect(bytesOf(presets.sdxl!.fp32!.storage)).toBeGreaterThan(HEADROOM * bytes)
  })

  it('give the demo model more memory than its largest picture was measured to take', () => {
    const bytes = gigabytes(/\| demo model, one picture of 1024x1024, peak memory \| ([\d.]+) GB/)
    expect(bytesOf(presets.demo!.fp32!.memory)).toBeGreaterThan(HEADROOM * bytes)
  })
})

function gigabytes(pattern: RegExp): number {
  const figure = pattern.exec(measured)?.[1]
  if (!figure) throw new Error(`docs/performance.md has nothing like ${pattern}`)
  return Number(figure) * 1e9
}

const bytesOf = (size: string) => Number.parseInt(size, 10) * 2 ** (size.endsWith('Gi') ? 30 : 20)
