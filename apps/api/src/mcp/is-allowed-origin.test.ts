import { expect, it } from 'vitest'
import { isAllowedOrigin } from './is-allowed-origin.ts'

it.each([undefined, 'http://localhost:5001', 'http://127.0.0.1', 'https://127.8.8.8:1', 'http://[::1]:6274'])(
  'lets programs and pages of the own machine ask: %s',
  (origin) => {
    expect(isAllowedOrigin(origin, { hasShownKey: false })).toBe(true)
  },
)

it.each([
  ...['https://evil.example', 'http://localhost.evil.example', 'http://evil.example:5001/localhost'],
  ...['http://10.0.0.7', 'null', '', 'localhost', 'http://127.0.0.1.evil.example', 'file://'],
])('lets no other page ask, but where it shows a key: %s', (origin) => {
  expect(isAllowedOrigin(origin, { hasShownKey: false })).toBe(false)
  expect(isAllowedOrigin(origin, { hasShownKey: true })).toBe(true)
})
