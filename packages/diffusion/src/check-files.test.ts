import { createHash } from 'node:crypto'
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkFiles } from './check-files.ts'
import type { Manifest } from './manifest.ts'

const COMPILED = new Date('2026-01-02T00:00:00Z')
const BEFORE = new Date('2026-01-01T00:00:00Z')
const AFTER = new Date('2026-01-03T00:00:00Z')
const WEIGHTS = Buffer.alloc((16 << 20) + 1, 7)

let folder: string
let manifest: Manifest
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-check-'))
  const files = { 'unet.weights': WEIGHTS, 'unet.onnx': Buffer.from('graph') }
  for (const [name, bytes] of Object.entries(files)) await put(name, bytes, BEFORE)
  await put('model.json', Buffer.from('{}'), COMPILED)
  manifest = {
    files: Object.fromEntries(
      Object.entries(files).map(([name, bytes]) => [
        name,
        { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') },
      ]),
    ),
  } as Manifest
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function put(name: string, bytes: Uint8Array, modified: Date): Promise<void> {
  await writeFile(join(folder, name), bytes)
  await utimes(join(folder, name), modified, modified)
}

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  copy[3]! ^= 1
  return copy
}

describe('checkFiles', () => {
  it.each(['quick', 'full'] as const)('passes an untouched folder, %s', async (check) => {
    await expect(checkFiles(folder, manifest, check)).resolves.toBeUndefined()
  })

  it('finds a large file that was changed after the manifest was written', async () => {
    await put('unet.weights', flipped(WEIGHTS), AFTER)
    await expect(checkFiles(folder, manifest, 'quick')).rejects.toThrow(/unet.weights is damaged/)
  })

  it('passes a large file that was copied later but is the same', async () => {
    await put('unet.weights', WEIGHTS, AFTER)
    await expect(checkFiles(folder, manifest, 'quick')).resolves.toBeUndefined()
  })

  it('hashes a small file whatever its date', async () => {
    await put('unet.onnx', Buffer.from('gruph'), BEFORE)
    await expect(checkFiles(folder, manifest, 'quick')).rejects.toThrow(/unet.onnx is damaged/)
  })

  it('trusts an old date for a large file when quick, and not when full', async () => {
    await put('unet.weights', flipped(WEIGHTS), BEFORE)
    await expect(checkFiles(folder, manifest, 'quick')).resolves.toBeUndefined()
    await expect(checkFiles(folder, manifest, 'full')).rejects.toThrow(/unet.weights is damaged/)
  })

  it('finds a file that is cut short or missing', async () => {
    await put('unet.weights', WEIGHTS.subarray(1), BEFORE)
    await expect(checkFiles(folder, manifest, 'quick')).rejects.toThrow(/is 16777216 bytes; .* 16777217/)
    await rm(join(folder, 'unet.weights'))
    await expect(checkFiles(folder, manifest, 'quick')).rejects.toThrow(/unet.weights is missing/)
  })
})
