import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FloatTensor, OpenGraph } from '@sdcpu/diffusion'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
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

      return { energies: tensor(...inputs.exact!.data, ...inputs.x!.data) }
    },
    async close() {
      openNow.delete(name)
    },
    endProfile() {},
  }
}

const start = (maxBytes: number) => createGraphPool({ maxBytes, open })
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
  const pool = start(100)
  const probe = (n: number, x: string, exact: string) => ({
    ...{ layer: `unet/${n}`, compare: `down.probe.${n}` },
    ...{ x, exact },
  })
  pool.probe({ down: [probe(0, 'tap a', 'tap b'), probe(1, 'tap a', 'tap c')] })
  given = { features: tensor(7), 'tap a': tensor(1), 'tap b': tensor(2), 'tap c': tensor(3) }
  const taps = ['tap a', 'tap b', 'tap c'].map((name) => given[name]!)
  const outputs = await (await pool.openWith(folder, 'down', { threads: 1 })).run({})
  expect(Object.keys(outputs)).toEqual(['features'])
  expect(outputs.features!.data).toEqual(Float32Array.of(7))
  expect([...pool.energies]).toEqual([
    ['unet/0', [2, 1]],
    ['unet/1', [3, 1]],
  ])
  expect(openings).toEqual(['down.probe', 'down.probe.0', 'down.probe.1'])
  expect(mostOpen).toBe(1)
  expect(openNow.size).toBe(0)
  expect(taps.map(({ data }) => data.length)).toEqual([0, 0, 0])
  pool.stopProbing()
  given = { features: tensor(7) }
  await draw(pool, ['down'])
  expect(openings.at(-1)).toBe('down')
})
