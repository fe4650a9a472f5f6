import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Manifest } from './manifest.ts'
import { ModelError } from './model-error.ts'

/**
 * How a compiled model's files are checked when it is loaded. `quick` hashes the small ones, and of the large ones those
 * written after `model.json`; `full` hashes all.
 */
export const MODEL_CHECKS = ['quick', 'full'] as const
export type ModelCheck = (typeof MODEL_CHECKS)[number]

const HASH_CHUNK_BYTES = 4 << 20
const SMALL_BYTES = 16 << 20 // graphs and tokenizers are hashed in milliseconds; weight packs take seconds a gigabyte

/**
 * Checks that every file of a compiled model is what `model.json` says. The compiler writes that file last, so a file
 * not changed since is the one that was hashed while it was written.
 * @throws ModelError naming the file that is missing or differs
 */
export async function checkFiles(folder: string, manifest: Manifest, check: ModelCheck): Promise<void> {
  const { mtimeNs: compiledAt } = await stat(join(folder, 'model.json'), { bigint: true })
  for (const [name, { bytes, sha256 }] of Object.entries(manifest.files)) {
    const path = join(folder, name)
    const found = await stat(path, { bigint: true }).catch((cause) => {
      throw new ModelError(`${path} is missing; compile the model again`, { cause })
    })
    if (found.size !== BigInt(bytes))
      throw new ModelError(
        `${path} is ${found.size} bytes; model.json says ${bytes}. Compile the model again`,
      )
    const isTrusted = check === 'quick' && bytes > SMALL_BYTES && found.mtimeNs <= compiledAt
    if (!isTrusted && (await sha256OfFile(path)) !== sha256)
      throw new ModelError(
        `${path} is damaged: its SHA-256 is not the one in model.json. Compile the model again`,
      )
  }
}

async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: HASH_CHUNK_BYTES }), hash)
  return hash.digest('hex')
}
