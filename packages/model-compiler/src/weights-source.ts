import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import * as z from 'zod'
import { CompileError } from './compile-error.ts'
import { openSafetensors, type SafetensorsFile } from './safetensors.ts'

/** The weights of one part of a model (its UNet, say), from one file or several shards. */
export type WeightsSource = {
  names(): string[]
  /** File the tensor is in, for messages. */
  labelOf(name: string): string
  shapeOf(name: string): number[] | undefined
  read(name: string): Promise<Float32Array<ArrayBuffer>>
  close(): Promise<void>
}

const ShardIndex = z.object({ weight_map: z.record(z.string(), z.string()) })

/**
 * Opens the weight files of one part of a diffusers folder.
 * @param files absolute paths: one safetensors file, or a shard index (`*.index.json`) and its shards.
 */
export async function openWeights(files: string[], label: (path: string) => string): Promise<WeightsSource> {
  const index = files.find((path) => path.endsWith('.json'))
  const shards: SafetensorsFile[] = []
  try {
    for (const path of files)
      if (path.endsWith('.safetensors')) shards.push(await openSafetensors(path, label(path)))
    if (index) await checkShards(index, shards, label(index))
  } catch (error) {
    await Promise.all(shards.map((shard) => shard.close()))
    throw error
  }
  const owner = new Map<string, SafetensorsFile>()
  for (const shard of shards) for (const name of shard.tensors.keys()) owner.set(name, shard)
  return {
    names: () => [...owner.keys()],
    labelOf: (name) => owner.get(name)?.label ?? shards.map((shard) => shard.label).join(', '),
    shapeOf: (name) => owner.get(name)?.tensors.get(name)?.shape,
    read: (name) => owner.get(name)!.read(name),
    async close() {
      await Promise.all(shards.map((shard) => shard.close()))
    },
  }
}

/** Files that an index names, beside the index itself. */
export async function readShardNames(indexPath: string, label: string): Promise<string[]> {
  const { weight_map } = await readIndex(indexPath, label)
  return [...new Set(Object.values(weight_map))].map((name) => join(indexPath, '..', basename(name)))
}

async function readIndex(path: string, label: string): Promise<z.infer<typeof ShardIndex>> {
  try {
    return ShardIndex.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (cause) {
    throw new CompileError(`${label} is not a safetensors index with a "weight_map"`, { cause })
  }
}

async function checkShards(indexPath: string, shards: SafetensorsFile[], label: string): Promise<void> {
  const { weight_map } = await readIndex(indexPath, label)
  for (const [tensor, file] of Object.entries(weight_map)) {
    const shard = shards.find((candidate) => basename(candidate.label) === basename(file))
    if (!shard?.tensors.has(tensor))
      throw new CompileError(`${label} places tensor ${tensor} in ${file}, which does not hold it`)
  }
}
