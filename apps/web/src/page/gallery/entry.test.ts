import type { Image, ImagesResource } from '@sdcpu/contract'
import { describe, expect, it } from 'vitest'
import { type Entry, fileName, isSettled, missing, picturesOf, toDraft } from './entry.ts'
import { createPassingStore } from './gallery-store.ts'
import { differencesOf, drawnInSeconds } from './settings-of.ts'

const drawn = (index: number): Image => ({
  index,
  seed: 7 + index,
  status: 'succeeded',
  steps: 4,
  url: `/api/v1/images/a/${index}.png`,
})

describe('an entry', () => {
  it('is settled when it is over and all pictures that there are were kept', () => {
    const entry = entryOf('a', [drawn(0), { ...drawn(1), url: undefined }])
    expect(isSettled(entry)).toBe(false)
    expect(missing(entry).map(({ index }) => index)).toEqual([0])
    expect(isSettled({ ...entry, kept: [0] })).toBe(true)
  })

  it('shows the pictures that are kept, and no others', () => {
    const entries = [{ ...entryOf('a', [drawn(0), drawn(1)]), kept: [1] }, entryOf('b', [drawn(0)])]
    expect(picturesOf(entries).map(({ entry, image }) => [entry.id, image.index])).toEqual([['a', 1]])
  })

  it('fills the form so that one of its pictures is drawn again', () => {
    const entry = entryOf('a', [drawn(0), drawn(1)])
    expect(toDraft(entry, drawn(1))).toMatchObject({
      prompt: 'a fox',
      seed: '8',
      n: 1,
      size: '256x256',
      steps: 4,
    })
    expect(toDraft(entry)).toMatchObject({ seed: '7', n: 2 })
  })
})

describe('fileName', () => {
  it.each([
    ['a "red" fox, ink & paper', 'image/png', 'a-red-fox-ink-paper-7.png'],
    ['一只狐狸', 'image/webp', '一只狐狸-7.webp'],
    ['!!', 'image/jpeg', 'picture-7.jpg'],
    ['../../etc/passwd', '', 'etc-passwd-7.png'],
  ])('names a picture of %s', (prompt, mediaType, name) => {
    expect(fileName(prompt, 7, mediaType)).toBe(name)
  })
})

describe('a comparison', () => {
  it('names what the pictures do not have in common', () => {
    const one = entryOf('a', [drawn(0)])
    const other = entryOf('b', [{ ...drawn(0), seed: 9 }])
    other.resource.request.size = '512x512'
    const refs = [one, other].map((entry) => ({ entry, image: entry.resource.images[0]! }))
    expect(differencesOf(refs)).toEqual(['seed', 'size'])
  })

  it('adds up the stages of the drawing', () => {
    const timingsMs = { encodePrompts: 100, steps: [200, 300], decode: 400, encodePng: 500 }
    expect(drawnInSeconds({ entry: entryOf('a', []), image: { ...drawn(0), timingsMs } })).toBe(1.5)
  })
})

describe('a store that outlives nothing', () => {
  it('keeps entries, newest first, and their pictures until they are removed', async () => {
    const store = createPassingStore()
    await store.put({ ...entryOf('a', [drawn(0)]), startedAtMs: 1 })
    await store.put({ ...entryOf('b', [drawn(0)]), startedAtMs: 2 })
    await store.putPicture('a', 0, new Blob(['picture']))
    expect((await store.list()).map(({ id }) => id)).toEqual(['b', 'a'])
    expect(await (await store.getPicture('a', 0))?.text()).toBe('picture')
    await store.remove(['a'])
    expect((await store.list()).map(({ id }) => id)).toEqual(['b'])
    expect(await store.getPicture('a', 0)).toBeUndefined()
  })

  it('keeps what the last fifty requests began with, and forgets it with them', async () => {
    const store = createPassingStore()
    for (let i = 0; i < 60; i++) await store.putInput(`r${i}`, new Blob([String(i)]))
    expect(await store.getInput('r9')).toBeUndefined()
    expect(await (await store.getInput('r10'))?.text()).toBe('10')
    await store.remove(['r10'])
    await store.removeInput('r11')
    expect(await store.getInput('r10')).toBeUndefined()
    expect(await store.getInput('r11')).toBeUndefined()
  })
})

function entryOf(id: string, images: Image[]): Entry {
  const request = { model: 'demo', prompt: 'a fox', n: images.length, seed: 7, size: '256x256', steps: 4 }
  const resource: ImagesResource = {
    id,
    status: 'succeeded',
    createdAt: '2026-01-01T00:00:00Z',
    request: { ...request, format: 'png' },
    images,
  }
  return { id, startedAtMs: 0, resource, kept: [] }
}
