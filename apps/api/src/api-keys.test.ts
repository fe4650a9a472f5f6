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
  [
    JSON.stringify([{ ...alice, perUser: { imagesAtOnce: 1 } }]),
    /perUser has no effect without "forwardsUsers"/,
  ],
])('refuses %s', (API_KEYS, message) => {
  expect(() => readApiKeys({ API_KEYS })).toThrow(message)
})

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

it('finds a key however it is shown, and nobody in anything else', () => {
  const keys = [alice, bob]
  expect(findApiKey(keys, { authorization: 'Bearer open-sesame' })).toEqual(alice)
  expect(findApiKey(keys, { authorization: 'bearer xyzzy' })).toEqual(bob)
  expect(findApiKey(keys, { 'x-api-key': 'xyzzy' })).toEqual(bob)
  const ofBasic = ['anybody:xyzzy', 'bob:xyzzy', ':xyzzy', 'xyzzy:', 'xyzzy', 'a:b:c']
  const found = ofBasic.map((text) => findApiKey(keys, { authorization: basic(text) })?.name)
  expect(found).toEqual(['bob', 'bob', 'bob', 'bob', 'bob', undefined])
  const colons = { name: 'colons', sha256: digest('b:c') }
  expect(findApiKey([colons], { authorization: basic('a:b:c') })).toEqual(colons)
  const wrong = [
    'Bearer xyzz',
    'Basic xyzzy',
    'xyzzy',
    'Bearer ',
    `Bearer ${bob.sha256}`,
    '',
    'Basic ',
    'Basic',
  ]
  for (const authorization of [...wrong, basic(''), basic(':'), basic('xyzzy:wrong')])
    expect(findApiKey(keys, { authorization })).toBeUndefined()
})

it('finds a key beside the login of a gateway in front', () => {
  const headers = { authorization: basic('gateway:password'), 'x-api-key': 'xyzzy' }
  expect(findApiKey([alice, bob], headers)).toEqual(bob)
})
