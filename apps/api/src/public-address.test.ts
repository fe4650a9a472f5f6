import { expect, it } from 'vitest'
import { isPublicAddress, lookupPublic } from './public-address.ts'

it.each(['1.1.1.1', '172.32.0.1', '2606:4700::1111', '203.0.113.7', '::ffff:1.1.1.1'])(
  'calls %s public',
  (address) => {
    expect(isPublicAddress(address)).toBe(true)
  },
)

it.each([
  ...[
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '192.168.1.1',
    '255.255.255.255',
  ],
  ...[
    '::',
    '::1',
    '::7f00:1',
    '::ffff:10.0.0.1',
    '::ffff:a00:1',
    '64:ff9b::a00:1',
    'fd00::1',
    'fe80::1',
    'ff02::1',
  ],
  'localhost',
])('does not call %s public', (address) => {
  expect(isPublicAddress(address)).toBe(false)
})

it('fails to look up a name that leads home', async () => {
  const looking = new Promise((resolve, reject) =>
    lookupPublic('localhost', {}, (error, address) => (error ? reject(error) : resolve(address))),
  )
  await expect(looking).rejects.toThrow(/localhost leads to .* which is not public/)
})
