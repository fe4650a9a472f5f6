import { type Browser, chromium } from 'playwright-core'
import { findChromium } from '../scripts/chromium.ts'

// In containers there is neither a user namespace for the sandbox nor a GPU; the rest keeps the browser from calling home.
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/**
 * Starts the machine's own Chromium: `CHROMIUM_PATH`, one on PATH, or Debian's.
 * @throws Error with the fix when there is none and it cannot be installed.
 */
export async function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: await findChromium(console.log), args: ARGS })
}
