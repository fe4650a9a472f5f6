import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { findApiKey, readApiKeys } from './api-keys.ts'

const digest = (key: string) => createHash('sha256').update(key).digest('hex')
const alice = { name: 'alice', sha256: digest('open sesame'.replace(' ', '-')), imagesPerMinute: 60 }
const bob = { name: 'bob', sha256: digest('xyzzy').toUpperCase() }

it('reads keys from a file or from the environment, and none from nowhere', () => {
  const dir = mkdtempSync(join(tmpdir(), 'keys-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const file = join(dir, 'keys.json')
  writeFileSync(file, JSON.stringify([alice, bob]))
  expect(readApiKeys({ API_KEYS_FILE: file })).toEqual([alice, bob])
  expect(readApiKeys({ API_KEYS: JSON.stringify([alice]) })).toEqual([alice])
  expect(readApiKeys({})).toBeUndefined()
})

it.each([
  ['nonsense', /API_KEYS must be a list/],
  ['[]', /API_KEYS must be a list/],
  [JSON.stringify([{ name: 'a', sha256: 'open-sesame' }]), /sha256/],
  [JSON.stringify([alice, alice]), /two keys have one name/],
  [JSON.stringify([{ ...alice, imagesPerHour: 1 }]), /imagesPerHour/],
])('refuses %s', (API_KEYS, message) => {
  expect(() => readApiKeys({ API_KEYS })).toThrow(message)
})

it('finds a key in either header, and nobody in anything else', () => {
  const keys = [alice, bob]
  expect(findApiKey(keys, { authorization: 'Bearer open-sesame' })).toEqual(alice)
  expect(findApiKey(keys, { authorization: 'bearer xyzzy' })).toEqual(bob)
  expect(findApiKey(keys, { 'x-api-key': 'xyzzy' })).toEqual(bob)
  const wrong = ['Bearer xyzz', 'Basic xyzzy', 'xyzzy', 'Bearer ', `Bearer ${bob.sha256}`]
  for (const authorization of wrong) expect(findApiKey(keys, { authorization })).toBeUndefined()
})
