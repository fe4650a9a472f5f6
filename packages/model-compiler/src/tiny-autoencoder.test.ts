import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { buildAutoencoder } from './autoencoder.ts'
import { VaeConfig } from './configs.ts'
import type { Graph } from './graph.ts'

const SHAPES: Record<string, number[]> = JSON.parse(
  readFileSync(join(import.meta.dirname, 'fixtures/vaes/taesdxl-shapes.golden.json'), 'utf8'),
)

it("uses every tensor of a full-size TAESDXL, by diffusers' names and shapes", () => {
  const weights = {
    names: () => Object.keys(SHAPES),
    labelOf: () => 'taesdxl',
    shapeOf: (name: string) => SHAPES[name],
    read: () => Promise.reject(new Error('not read here')),
    close: async () => {},
  }
  const { decoder, encoder } = buildAutoencoder(VaeConfig.parse({ _class_name: 'AutoencoderTiny' }), weights)
  const used = [...decoder, ...encoder].flatMap((graph: Graph) => graph.weights.map(({ source }) => source))
  expect(used.toSorted()).toEqual(Object.keys(SHAPES).toSorted())
})
