import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { forBlock, KlConfig } from './configs.ts'
import {
  lookUpBy,
  type NamePair,
  openClipNames,
  translateName,
  unetNames,
  vaeNames,
} from './original-names.ts'
import { openSource, type Part } from './source.ts'

// twolevels has another number of blocks at each level, which diffusers' own converter cannot read.
describe.each(['threelevels', 'twolevels'])('names of %s', (model) => {
  it.each<[Part, (source: Awaited<ReturnType<typeof openSource>>) => NamePair[]]>([
    [
      'unet',
      ({ unet }) => unetNames(unet.block_out_channels.map((_, i) => forBlock(unet.layers_per_block, i))),
    ],
    [
      'vae',
      ({ vae }) => {
        const { block_out_channels, layers_per_block } = KlConfig.parse(vae)
        return vaeNames(block_out_channels.length, layers_per_block)
      },
    ],
    ['text_encoder_2', ({ textEncoder2 }) => openClipNames(textEncoder2.num_hidden_layers)],
  ])('of part %s come back from the original layout', async (part, list) => {
    const source = await openSource(join(import.meta.dirname, 'fixtures/models', model))
    const pairs = list(source)
    const weights = await source.openPart(part)
    for (const name of weights.names()) {
      const original = translateName(name, lookUpBy(pairs, 'diffusers'))
      expect(original, name).toBeDefined()
      for (const one of original!.all)
        expect(translateName(one, lookUpBy(pairs, 'original'))!.all).toContain(name)
    }
    await weights.close()
  })
})

it('translates by whole parts of a name', () => {
  const pairs = lookUpBy([{ original: 'input_blocks.1', diffusers: 'one' }], 'original')
  expect(translateName('input_blocks.1.weight', pairs)?.name).toBe('one.weight')
  expect(translateName('input_blocks.11.weight', pairs)).toBeUndefined()
})
