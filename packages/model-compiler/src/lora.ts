import { CompileError } from './compile-error.ts'
import type { UnetConfig } from './configs.ts'
import { listTargets, parseLoraKey, type Target } from './lora-names.ts'
import { openSafetensors, type SafetensorsFile } from './safetensors.ts'
import { PARTS, type Part } from './source.ts'
import { checkFinite } from './weight-pack.ts'
import type { WeightsSource } from './weights-source.ts'

/** A LoRA file, by its path and by the name messages give it, and how strongly it is merged. */
export type LoraFile = { path: string; label: string; weight: number }

type Parts = Record<Part, WeightsSource>

/** One product to add to one tensor: `scale · up · down`. */
type Delta = { file: SafetensorsFile; up: string; down: string; rank: number; scale: number }

/**
 * Adds LoRA files to a model's weights as they are read: W + weight · alpha / rank · up · down (Hu et al., "LoRA:
 * Low-Rank Adaptation of Large Language Models", 2021, section 4.1). Closing the parts closes the files.
 * @throws CompileError when a file holds tensors that belong to nothing in the model, or not of the shape they need
 */
export async function mergeLoras(parts: Parts, loras: LoraFile[], unet: UnetConfig): Promise<Parts> {
  if (loras.length === 0) return parts
  const targets = listTargets(parts, unet)
  const deltas: Record<Part, Map<string, Delta[]>> = {
    unet: new Map(),
    text_encoder: new Map(),
    text_encoder_2: new Map(),
    vae: new Map(),
  }
  const files: SafetensorsFile[] = []
  try {
    for (const lora of loras) {
      const file = await openSafetensors(lora.path, lora.label)
      files.push(file)
      for (const { target, delta } of await readDeltas(file, lora.weight, { targets, parts })) {
        const list = deltas[target.part]
        list.set(target.weight, [...(list.get(target.weight) ?? []), delta])
      }
    }
  } catch (error) {
    await Promise.all(files.map((file) => file.close()))
    throw error
  }
  const merged = PARTS.map((part) => [part, withDeltas(parts[part], deltas[part])])
  const { unet: weights, ...others } = Object.fromEntries(merged) as Parts
  const close = async () => {
    await Promise.all([weights.close(), ...files.map((file) => file.close())])
  }
  return { ...others, unet: { ...weights, close } }
}

function withDeltas(weights: WeightsSource, deltas: Map<string, Delta[]>): WeightsSource {
  return {
    ...weights,
    async read(name) {
      const values = await weights.read(name)
      for (const delta of deltas.get(name) ?? []) await addProduct(values, delta)
      return values
    },
  }
}

/** Adds `scale · up · down` to a matrix, or to a convolution's kernels seen as one. */
async function addProduct(values: Float32Array, { file, up, down, rank, scale }: Delta): Promise<void> {
  const [left, right] = [await file.read(up), await file.read(down)]
  checkFinite(left, `${file.label}: tensor ${up}`)
  checkFinite(right, `${file.label}: tensor ${down}`)
  const columns = right.length / rank
  const sums = new Float64Array(columns)
  for (let row = 0; row < left.length / rank; row++) {
    sums.fill(0)
    for (let k = 0; k < rank; k++) {
      const factor = left[row * rank + k]!
      for (let column = 0; column < columns; column++) sums[column]! += factor * right[k * columns + column]!
    }
    const start = row * columns
    for (let column = 0; column < columns; column++) values[start + column]! += scale * sums[column]!
  }
}

type Found = { up?: string; down?: string; alpha?: string }

async function readDeltas(
  file: SafetensorsFile,
  weight: number,
  { targets, parts }: { targets: Map<string, Target>; parts: Parts },
): Promise<{ target: Target; delta: Delta }[]> {
  refuseOtherKinds(file)
  const modules = groupByModule(file, targets)
  const alphaOf = readPeftAlphas(file)
  const result: { target: Target; delta: Delta }[] = []
  for (const [module, { up, down, alpha }] of modules) {
    const target = targets.get(module)!
    if (!up || !down)
      throw new CompileError(
        `${file.label}: ${module} has no ${up ? 'down' : 'up'} matrix; both are expected`,
      )
    const rank = file.tensors.get(down)!.shape[0]!
    checkShapes(file, { up, down, rank }, { target, found: parts[target.part].shapeOf(target.weight)! })
    const scaled = alpha ? (await file.read(alpha))[0]! : (alphaOf(target.part) ?? rank)
    if (!Number.isFinite(scaled))
      throw new CompileError(`${file.label}: tensor ${alpha} holds ${scaled}; a finite number is expected`)
    result.push({ target, delta: { file, up, down, rank, scale: (weight * scaled) / rank } })
  }
  return result
}

const OTHER_KINDS: [RegExp, string][] = [
  [/\.dora_scale$|lora_magnitude_vector/, 'DoRA (it scales whole columns)'],
  [/\.hada_[wt]\d/, 'LoHa'],
  [/\.lokr_[wt]\d/, 'LoKr'],
  [/\.lora_mid\.weight$/, 'a LoCon with a core tensor (lora_mid)'],
  [/\.oft_/, 'OFT'],
]

function refuseOtherKinds({ label, tensors, others }: SafetensorsFile): void {
  for (const key of [...tensors.keys(), ...others.keys()])
    for (const [pattern, kind] of OTHER_KINDS)
      if (pattern.test(key))
        throw new CompileError(
          `${label}: tensor ${key} belongs to ${kind}; a LoRA of up and down matrices is expected`,
        )
}

function groupByModule(file: SafetensorsFile, targets: Map<string, Target>): Map<string, Found> {
  const modules = new Map<string, Found>()
  const strangers: string[] = []
  for (const key of file.tensors.keys()) {
    const parsed = parseLoraKey(key)
    if (!parsed || !targets.has(parsed.module)) {
      strangers.push(key)
      continue
    }
    modules.set(parsed.module, { ...modules.get(parsed.module), [parsed.role]: key })
  }
  for (const [key, type] of file.others)
    throw new CompileError(`${file.label}: tensor ${key} is of type ${type}; F16, BF16 or F32 is expected`)
  if (strangers.length > 0)
    throw new CompileError(
      `${file.label}: ${strangers.length} of ${file.tensors.size} tensors match nothing in the model: ${strangers.slice(0, 3).join(', ')}${strangers.length > 3 ? ', …' : ''}`,
    )
  if (modules.size === 0) throw new CompileError(`${file.label} holds no tensors; it is no LoRA`)
  return modules
}

function checkShapes(
  file: SafetensorsFile,
  { up, down, rank }: { up: string; down: string; rank: number },
  { target, found }: { target: Target; found: number[] },
): void {
  const [left, right] = [file.tensors.get(up)!.shape, file.tensors.get(down)!.shape]
  const size = (shape: number[]) => shape.reduce((a, b) => a * b, 1)
  const rowsFit = left[0] === found[0] && size(left) === found[0]! * rank
  const columnsFit = right[1] === found[1] && size(right) === (rank * size(found)) / found[0]!
  if (!rowsFit || !columnsFit)
    throw new CompileError(
      `${file.label}: tensors ${up} [${left}] and ${down} [${right}] do not fit ${target.part}'s ${target.weight}; [${found[0]}, rank] and [rank, ${found.slice(1)}] are expected`,
    )
}

/** PEFT keeps one alpha a part in the header, where diffusers writes `lora_adapter_metadata`; else alpha is the rank. */
function readPeftAlphas({ label, metadata }: SafetensorsFile): (part: Part) => number | undefined {
  const text = metadata.lora_adapter_metadata
  if (!text) return () => undefined
  let settings: Record<string, unknown>
  try {
    settings = JSON.parse(text)
  } catch (cause) {
    throw new CompileError(`${label}: lora_adapter_metadata in the header is not JSON`, { cause })
  }
  for (const [key, value] of Object.entries(settings)) {
    const isPattern = key.endsWith('.alpha_pattern') && Object.keys(value ?? {}).length > 0
    if (isPattern || (/\.use_(rslora|dora)$/.test(key) && value))
      throw new CompileError(
        `${label}: lora_adapter_metadata sets ${key} to ${JSON.stringify(value)}, which is not supported`,
      )
  }
  return (part) => {
    const alpha = settings[`${part}.lora_alpha`]
    return typeof alpha === 'number' ? alpha : undefined
  }
}
