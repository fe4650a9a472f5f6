import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FloatTensor, OpenGraph } from '@sdcpu/diffusion'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { LayerProbe, ReferenceProbes } from './compile.ts'
import { createGraphPool } from './graph-pool.ts'

const GRAPHS = ['down', 'mid', 'up']
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-pool-'))
  for (const name of GRAPHS) await writeFile(join(folder, `${name}.weights`), new Uint8Array(10))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const tensor = (...values: number[]): FloatTensor => ({
  data: Float32Array.from(values),
  dims: [values.length],
})
const openNow = new Set<string>()
const openings: string[] = []
let mostOpen = 0
let given: Record<string, FloatTensor> = {}

beforeEach(() => {
  openNow.clear()
  openings.length = 0
  mostOpen = 0
})

/** Graphs that give `given`, and as energies what they are to compare. */
const open: OpenGraph = async (_, name) => {
  openNow.add(name)
  openings.push(name)
  mostOpen = Math.max(mostOpen, openNow.size)
  return {
    name,
    async run(inputs) {
      if (!name.includes('.probe.')) return given

      return {
        energies: tensor(...['exact', 'range', 'x'].flatMap((input) => [...(inputs[input]?.data ?? [])])),
      }
    },
    async close() {
      openNow.delete(name)
    },
    endProfile() {},
  }
}

const start = (maxBytes: number, reference?: ReferenceProbes) =>
  createGraphPool({ maxBytes, open, reference })
const draw = async (pool: ReturnType<typeof start>, names: string[]) => {
  for (const name of names) await (await pool.openWith(folder, name, { threads: 1 })).run({})
}

it('keeps as many graphs open as fit, and closes the one used longest ago', async () => {
  const pool = start(20)
  await draw(pool, ['down', 'mid', 'down', 'up', 'down'])
  expect(openings).toEqual(['down', 'mid', 'up'])
  expect([...openNow]).toEqual(['down', 'up'])
  await pool.close()
  expect(openNow.size).toBe(0)
})

it('holds one graph at a time while it probes, and none of what the layers read and made afterwards', async () => {
  const probe = (n: number, exact: string, ...schemes: LayerProbe['schemes']): LayerProbe => ({
    ...{ layer: `unet/${n}`, compare: `down.probe.${n}` },
    ...{ x: 'tap a', exact, schemes },
  })
  const probes = [probe(0, 'tap b', 'int8-static', 'int8'), probe(1, 'tap c', 'int8')]
  const ranges = [{ layer: 'unet/0', output: 'range a' }]
  const pool = start(100, { down: { probes, ranges } })
  given = { features: tensor(7), 'range a': tensor(5) }
  pool.noteRanges({ images: 1 })
  await draw(pool, ['down', 'mid'])

  await pool.probe()
  openings.length = 0
  mostOpen = 0
  given = { ...given, 'tap a': tensor(1), 'tap b': tensor(2), 'tap c': tensor(3) }
  const taps = ['tap a', 'tap b', 'tap c'].map((name) => given[name]!)
  const outputs = await (await pool.openWith(folder, 'down', { threads: 1 })).run({})
  expect(Object.keys(outputs)).toEqual(['features'])
  expect(outputs.features!.data).toEqual(Float32Array.of(7))
  expect([...pool.energies]).toEqual([
    ['unet/0', { exact: 2, errors: { 'int8-static': 5, int8: 1 } }],
    ['unet/1', { exact: 3, errors: { int8: 1 } }],
  ])
  expect(openings).toEqual(['down.probe', 'down.probe.0', 'down.probe.1'])
  expect(mostOpen).toBe(1)
  expect(openNow.size).toBe(0)
  expect(taps.map(({ data }) => data.length)).toEqual([0, 0, 0])
})

it('notes the largest range of the images it is told to watch, with a margin, and hands no range on', async () => {
  const ranges = [{ layer: 'unet/a', output: 'range 1' }]
  const pool = start(100, { down: { probes: [], ranges } })
  const run = async (...perImage: number[]) => {
    given = { features: tensor(7), 'range 1': tensor(...perImage) }
    return (await pool.openWith(folder, 'down', { threads: 1 })).run({})
  }
  expect(Object.keys(await run(9, 9))).toEqual(['features'])
  expect([...pool.ranges]).toEqual([])
  pool.noteRanges({ images: 2, margin: 1.5 })
  await run(2, 4, 100)
  await run(3, 1, 100)
  pool.noteRanges({ images: 0 })
  await run(100)
  expect([...pool.ranges]).toEqual([['unet/a', 6]])
  pool.noteRanges({ images: 1 })
  await run(Number.NaN)
  expect([...pool.ranges]).toEqual([['unet/a', Number.NaN]])
})
