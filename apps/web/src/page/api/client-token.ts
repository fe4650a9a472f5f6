import { readStored, writeStored } from '../preferences.ts'
import { randomHex } from '../random-hex.ts'

const KEY = 'client-token'

/** Header that tells the API which browser asks, a secret of this browser and nobody's name. */
export function clientTokenHeader(): Record<string, string> {
  let token = readStored(KEY)
  if (!token) {
    token = randomHex(16)
    writeStored(KEY, token)
  }
  return { 'x-client-token': token }
}
