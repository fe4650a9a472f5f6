import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hashFiles } from './content-hash.ts'

const NOBODY = 65_534

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-hash-'))
  await writeFile(join(folder, 'weights'), 'some bytes')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('hashFiles', () => {
  it('hashes files although it may not write its memo', async () => {
    const files = { weights: join(folder, 'weights') }
    const writable = await hashFiles(files, join(folder, 'memo', 'hashes.json'))
    await chmod(folder, 0o555)
    const readOnly = await asNobody(() => hashFiles(files, join(folder, 'other', 'hashes.json')))
    expect(readOnly).toEqual(writable)
  })
})

/** Root may write everywhere, so it is not root that tries. */
async function asNobody<T>(work: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return work()
  process.seteuid?.(NOBODY)
  try {
    return await work()
  } finally {
    process.seteuid?.(0)
  }
}
