import { expect, it } from 'vitest'
import { parseRepository, repositoryFolder } from './hub-repository.ts'

it.each([
  ['stabilityai/sdxl-turbo', 'stabilityai/sdxl-turbo', undefined],
  ['stabilityai/sdxl-turbo@main', 'stabilityai/sdxl-turbo', 'main'],
  ['SG161222/RealVisXL_V3.0_Turbo@refs/pr/4', 'SG161222/RealVisXL_V3.0_Turbo', 'refs/pr/4'],
  [`a/b@${'0'.repeat(40)}`, 'a/b', '0'.repeat(40)],
])('reads %s', (text, id, revision) => {
  expect(parseRepository(text)).toMatchObject({ id, revision })
})

it.each([
  'demo',
  '/a/b',
  './a/b',
  '../b',
  'a/..',
  'a/b/c',
  'a/b@',
  'a/b@../c',
  'a/b@-x',
  'a--b/c',
  '-a/b',
  'a/b.',
  'a/b c',
  `a/${'b'.repeat(95)}`,
  'https://huggingface.co/a/b',
])('takes %s for no repository', (text) => {
  expect(parseRepository(text)).toBeUndefined()
})

it('keeps a repository in one folder', () => {
  const repository = parseRepository('stabilityai/sdxl-turbo@v1')!
  expect(repositoryFolder('/data', repository)).toBe('/data/sources/stabilityai--sdxl-turbo')
})
