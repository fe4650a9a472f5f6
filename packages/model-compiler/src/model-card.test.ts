import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readModelCard, readModelSpec } from './model-card.ts'
import { DEMO_FOLDER } from './prepare-model.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-card-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function cardOf(frontMatter: string) {
  await writeFile(join(folder, 'README.md'), `---\n${frontMatter}\n---\n\n# A model\n`)
  return (await readModelCard(folder)).card
}

it('reads licence, link, steps and guidance from the front matter', async () => {
  const card = await cardOf(
    'license: other\nlicense_name: acme-nc\nlicense_link: https://example.org/l\ninference:\n  parameters:\n    num_inference_steps: 6\n    guidance_scale: 2',
  )
  expect(card).toEqual({
    licence: { id: 'acme-nc', link: 'https://example.org/l' },
    steps: 6,
    guidance: 2,
  })
})

it('knows where usual licences stand, and what restricted ones ask for', async () => {
  const { licence } = await cardOf('license: openrail++')
  expect(licence?.link).toMatch(/^https:/)
  expect(licence?.notice).toMatch(/forbids/)
})

it('passes a NOTICE on rather than words of ours', async () => {
  await writeFile(join(folder, 'NOTICE'), 'Drawn by Acme.\n')
  expect((await cardOf('license: openrail++')).licence?.notice).toBe('Drawn by Acme.')
})

it.each([
  'inference: false',
  'license: [a, b]',
  'a: : b',
  'inference:\n  parameters:\n    num_inference_steps: many',
  '',
])('takes %j for a card that says nothing', async (frontMatter) => {
  expect(await cardOf(frontMatter)).toEqual({ licence: undefined, steps: undefined, guidance: undefined })
})

it('names the files it read, for the model’s hash', async () => {
  await cardOf('license: mit')
  expect((await readModelCard(folder)).files).toEqual({ 'README.md': join(folder, 'README.md') })
  expect((await readModelCard(join(folder, 'nowhere'))).files).toEqual({})
})

it('reads what SAI’s ModelSpec says in a single file', () => {
  const metadata = { 'modelspec.title': 'Fox Turbo', 'modelspec.license': 'MIT' }
  expect(readModelSpec(metadata)).toEqual({
    title: 'Fox Turbo',
    licence: { id: 'MIT', link: 'https://opensource.org/license/mit' },
  })
})

it('finds the licence of the demo model', async () => {
  expect((await readModelCard(DEMO_FOLDER)).card.licence?.id).toBe('apache-2.0')
})
