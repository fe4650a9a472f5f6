import { expect, it } from 'vitest'
import { createRecent } from './recent.ts'

const HOUR_MS = 3_600_000

function createCounter() {
  let asked = 0
  return { question: async () => ++asked, asked: () => asked }
}

it('asks once for all who ask at the same moment, and not again for a while', async () => {
  const { question } = createCounter()
  const recent = createRecent(question, { maxAgeMs: HOUR_MS })
  expect(await Promise.all([recent.get('a'), recent.get('a')])).toEqual([1, 1])
  expect(await recent.get('a')).toBe(1)
  expect(await recent.get('b')).toBe(2)
})

it('asks again for what is too old', async () => {
  const { question } = createCounter()
  const recent = createRecent(question, { maxAgeMs: 0 })
  expect([await recent.get('a'), await recent.get('a')]).toEqual([1, 2])
})

it('remembers the newest answer, for whomever it was asked', async () => {
  const { question } = createCounter()
  const recent = createRecent(question, { maxAgeMs: HOUR_MS })
  await recent.get('a')
  expect(await recent.ask('a')).toBe(2)
  expect(await recent.get('a')).toBe(2)
})

it('remembers no answer that does not last, and no error', async () => {
  const { question } = createCounter()
  const lasting = createRecent(question, { maxAgeMs: HOUR_MS, isLasting: (value) => value > 1 })
  expect([await lasting.get('a'), await lasting.get('a'), await lasting.get('a')]).toEqual([1, 2, 2])

  const failing = createRecent(
    async () => {
      if ((await question()) === 3) throw new Error('away')
      return 'back'
    },
    { maxAgeMs: HOUR_MS },
  )
  await expect(failing.get('a')).rejects.toThrow('away')
  expect(await failing.get('a')).toBe('back')
})
