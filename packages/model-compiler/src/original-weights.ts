import { CompileError } from './compile-error.ts'
import { UNET } from './infer-configs.ts'
import { translateName } from './original-names.ts'
import { openSafetensors, type SafetensorsFile } from './safetensors.ts'
import { arrange } from './weight-pack.ts'
import type { WeightsSource } from './weights-source.ts'

/** Where a part's tensors stand in a checkpoint, and how their names translate. */
export type OriginalPart = {
  prefix: string
  toDiffusers: Map<string, string[]>
  toOriginal: Map<string, string[]>
}

/** One of diffusers' tensors: a tensor of the file, or some rows of it, or its transpose. */
type Place = { key: string; shape: number[]; rows?: [number, number]; transposed: boolean }

// OpenCLIP keeps it as a matrix to multiply by, transformers as a linear layer's weight.
const TRANSPOSED = 'text_projection'

/**
 * Opens one part of a single-file checkpoint under diffusers' names. Nothing is converted until it is read, and then
 * one tensor at a time.
 * @throws CompileError for a tensor of the UNet whose name has no counterpart
 */
export async function openOriginalPart(
  path: string,
  label: string,
  part: OriginalPart,
): Promise<WeightsSource> {
  const file = await openSafetensors(path, label)
  try {
    const places = findPlaces(file, part)
    return {
      names: () => [...places.keys()],
      labelOf: (name) => `${label} (${originalName(name, part)})`,
      shapeOf: (name) => places.get(name)?.shape,
      read: (name) => readPlace(file, places.get(name)!),
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

function findPlaces(file: SafetensorsFile, { prefix, toDiffusers }: OriginalPart): Map<string, Place> {
  const places = new Map<string, Place>()
  for (const [key, { shape }] of file.tensors) {
    if (!key.startsWith(prefix)) continue
    const names = translateName(key.slice(prefix.length), toDiffusers)?.all
    if (!names) {
      refuseInUnet(key, file.label)
      continue
    }
    const transposed = key === prefix + TRANSPOSED
    const rows = shape[0]! / names.length
    names.forEach((name, i) => {
      const slice = names.length > 1 ? ([i * rows, (i + 1) * rows] as [number, number]) : undefined
      const taken = slice ? [rows, ...shape.slice(1)] : shape
      places.set(name, { key, rows: slice, transposed, shape: transposed ? taken.toReversed() : taken })
    })
  }
  return places
}

// Text encoders and VAEs carry tensors that drawing does not need (logit_scale, position_ids); a UNet has none.
function refuseInUnet(key: string, label: string): void {
  if (key.startsWith(UNET))
    throw new CompileError(`${label}: tensor ${key} has no place in an SDXL UNet of this file's shapes`)
}

function originalName(name: string, { prefix, toOriginal }: OriginalPart): string {
  return prefix + (translateName(name, toOriginal)?.name ?? name)
}

async function readPlace(
  file: SafetensorsFile,
  { key, shape, rows, transposed }: Place,
): Promise<Float32Array<ArrayBuffer>> {
  const values = await file.read(key, rows)
  return transposed ? arrange(values, shape.toReversed(), { transpose: true }) : values
}
