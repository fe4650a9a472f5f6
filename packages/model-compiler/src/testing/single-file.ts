import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

const FIXTURES = join(import.meta.dirname, '../fixtures')

/** The diffusers folder whose single-file form `single-file.golden.json` describes. */
export const FOLDER = join(FIXTURES, 'models/threelevels')

export type Stored = { dtype: string; shape: number[]; data: Buffer }
export type Tensors = Map<string, Stored>

type Golden = {
  dataSha256: string
  tensors: {
    key: string
    dtype: string
    shape: number[]
    part: string
    names: string[]
    transposed?: boolean
  }[]
}

/** The tensors of a safetensors file as they are stored. */
export async function readTensors(path: string): Promise<Tensors> {
  const bytes = await readFile(path)
  const length = Number(bytes.readBigUInt64LE())
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> =
    JSON.parse(bytes.subarray(8, 8 + length).toString())
  const begin = 8 + length
  return new Map(
    Object.entries(header)
      .filter(([name]) => name !== '__metadata__')
      .map(
        ([
          name,
          {
            dtype,
            shape,
            data_offsets: [from, to],
          },
        ]) => [name, { dtype, shape, data: bytes.subarray(begin + from, begin + to) }],
      ),
  )
}

/** Writes a safetensors file, its data in the order of the map. */
export async function writeTensors(
  path: string,
  tensors: Tensors,
  metadata?: Record<string, string>,
): Promise<void> {
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {}
  let offset = 0
  for (const [name, { dtype, shape, data }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.length] }
    offset += data.length
  }
  const text = Buffer.from(JSON.stringify(header))
  const prefix = Buffer.alloc(8)
  prefix.writeBigUInt64LE(BigInt(text.length))
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, Buffer.concat([prefix, text, ...[...tensors.values()].map(({ data }) => data)]))
}

/** The tensors of the checkpoint that `goldens_single_file.py` wrote and diffusers read back, and their digest. */
export async function singleFileTensors(): Promise<{ tensors: Tensors; dataSha256: string }> {
  const golden: Golden = JSON.parse(await readFile(join(FIXTURES, 'single-file.golden.json'), 'utf8'))
  const parts: Record<string, Tensors> = {}
  for (const [part, file] of Object.entries({
    unet: 'diffusion_pytorch_model',
    vae: 'diffusion_pytorch_model',
    text_encoder: 'model',
    text_encoder_2: 'model',
  }))
    parts[part] = await readTensors(join(FOLDER, part, `${file}.safetensors`))
  const tensors: Tensors = new Map()
  for (const { key, dtype, shape, part, names, transposed } of golden.tensors) {
    const data = Buffer.concat(names.map((name) => parts[part]!.get(name)!.data))
    tensors.set(key, { dtype, shape, data: transposed ? transposedHalves(data, shape) : data })
  }
  return { tensors, dataSha256: golden.dataSha256 }
}

/** [columns, rows] of two-byte values to `shape`, [rows, columns]. */
function transposedHalves(data: Buffer, [rows, columns]: number[]): Buffer {
  const result = Buffer.alloc(data.length)
  for (let row = 0; row < rows!; row++)
    for (let column = 0; column < columns!; column++)
      data.copy(
        result,
        2 * (row * columns! + column),
        2 * (column * rows! + row),
        2 * (column * rows! + row + 1),
      )
  return result
}

/** Puts the folder's configs and tokenizers where a checkpoint called `path` finds them. */
export async function putConfigBeside(path: string): Promise<string> {
  const folder = path.replace(/\.safetensors$/, '.config')
  await cp(FOLDER, folder, { recursive: true, filter: (from) => !from.endsWith('.safetensors') })
  return folder
}

/** Writes that checkpoint's VAE alone, under its own names, or some of its tensors, with its config beside it. */
export async function writeVaeFile(
  path: string,
  isKept: (name: string) => boolean = () => true,
): Promise<void> {
  const PREFIX = 'first_stage_model.'
  const { tensors } = await singleFileTensors()
  const vae = [...tensors]
    .filter(([name]) => name.startsWith(PREFIX))
    .map(([name, tensor]) => [name.slice(PREFIX.length), tensor] as const)
  await writeTensors(path, new Map(vae.filter(([name]) => isKept(name))))
  await cp(join(FOLDER, 'vae/config.json'), path.replace(/\.safetensors$/, '.config/vae/config.json'))
}

/** Writes that checkpoint whole, with its configs and tokenizers beside it. */
export async function writeSingleFile(path: string): Promise<void> {
  await writeTensors(path, (await singleFileTensors()).tensors)
  await putConfigBeside(path)
}
