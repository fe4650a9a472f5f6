import { expect, it } from 'vitest'
import { createByteCache } from './byte-cache.ts'

const create = (maxBytes: number) => createByteCache<string>(maxBytes, (value) => value.length)

it('drops what was used longest ago when it is full', () => {
  const cache = create(6)
  cache.set('a', 'aaa')
  cache.set('b', 'bbb')
  cache.get('a')
  cache.set('c', 'ccc')
  expect(['a', 'b', 'c'].map((key) => cache.get(key))).toEqual(['aaa', undefined, 'ccc'])
})

it('never holds more bytes than it may', () => {
  const cache = create(10)
  for (let i = 0; i < 50; i++) {
    cache.set(`${i % 7}`, 'x'.repeat(i % 12))
    expect(cache.stats().bytes).toBeLessThanOrEqual(10)
  }
})

it('does not keep what is larger than all of it, and forgets what it replaces', () => {
  const cache = create(4)
  cache.set('a', 'aa')
  cache.set('a', 'aaaaa')
  expect(cache.get('a')).toBeUndefined()
  expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0 })
})

it('counts hits and misses', () => {
  const cache = create(4)
  cache.get('a')
  cache.set('a', 'a')
  cache.set('a', 'aa')
  cache.get('a')
  cache.get('a')
  expect(cache.stats()).toEqual({ hits: 2, misses: 1, entries: 1, bytes: 2, maxBytes: 4 })
})
