import { expect, it } from 'vitest'
import { decode } from './decode.ts'
import type { GraphInput } from './graph-session.ts'
import type { Model } from './model.ts'

const SHAPE = { batch: 1, channels: 4, height: 4, width: 6 }

it('gives back everything that it computed for a graph once the graph has run', async () => {
  const taken: GraphInput[] = []
  const graph = {
    async run(inputs: Record<string, GraphInput>) {
      taken.push(
        ...['features', 'strip_neighbours', 'phase_neighbours', 'strip_mask'].map((name) => inputs[name]!),
      )
      expect(taken.every(({ data }) => data.length > 0)).toBe(true)
      return { pixels: { data: new Float32Array(4 * 6 * 3), dims: [1, 4, 6, 3] } }
    },
  }
  const model = { manifest: { vae: { scalingFactor: 0.13 } }, decoder: [graph] } as unknown as Model
  const [picture] = await decode(model, new Float32Array(4 * 4 * 6).fill(1), SHAPE)
  expect(picture).toMatchObject({ width: 6, height: 4 })
  expect(taken.map(({ data }) => data.length)).toEqual([0, 0, 0, 0])
})
