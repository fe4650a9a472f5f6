import { type FileHandle, open } from 'node:fs/promises'
import * as z from 'zod'
import { CompileError } from './compile-error.ts'
import { type FloatType, toFloat32 } from './float16.ts'

// The format's own bound (huggingface/safetensors README: "there's a limit on the size of the header of 100MB").
const MAX_HEADER_BYTES = 100_000_000

const BYTES_PER_VALUE: Record<FloatType, number> = { F32: 4, F16: 2, BF16: 2 }

const HeaderEntry = z.object({
  dtype: z.string(),
  shape: z.array(z.number().int().nonnegative()),
  data_offsets: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]),
})

export type TensorInfo = { dtype: FloatType; shape: number[]; begin: number; end: number }

export type SafetensorsFile = {
  /** Path shown in messages. */
  label: string
  tensors: Map<string, TensorInfo>
  /** Types of the tensors that are not float32, float16 or bfloat16; they cannot be read. */
  others: Map<string, string>
  metadata: Record<string, string>
  /** Reads one tensor, or some rows of its first axis, as float32, in the file's own order. */
  read(name: string, rows?: [number, number]): Promise<Float32Array<ArrayBuffer>>
  close(): Promise<void>
}

/**
 * Opens a safetensors file and checks its header against the file's length.
 * @throws CompileError when the file is truncated or its header is not what the format asks for.
 */
export async function openSafetensors(path: string, label: string): Promise<SafetensorsFile> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const { header, dataBegin } = await readHeader(file, size, label)
    const content = parseHeader(header, dataBegin, size, label)
    return {
      label,
      ...content,
      read: (name, rows) =>
        readTensor(file, takeRows(content.tensors.get(name)!, rows), `${label}: tensor ${name}`),
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function readHeader(
  file: FileHandle,
  size: number,
  label: string,
): Promise<{ header: string; dataBegin: number }> {
  if (size < 8) throw new CompileError(`${label} is ${size} bytes; a safetensors file has at least 8`)
  const length = Number((await readExactly(file, 0, 8, label)).readBigUInt64LE())
  if (length > MAX_HEADER_BYTES)
    throw new CompileError(
      `${label}: the header claims ${length} bytes; the limit is ${MAX_HEADER_BYTES}. Is it a safetensors file?`,
    )
  if (8 + length > size)
    throw new CompileError(`${label} is truncated: header of ${length} bytes, but the file is ${size} bytes`)
  return { header: (await readExactly(file, 8, length, label)).toString('utf8'), dataBegin: 8 + length }
}

function parseHeader(
  text: string,
  dataBegin: number,
  fileSize: number,
  label: string,
): Pick<SafetensorsFile, 'tensors' | 'others' | 'metadata'> {
  let entries: [string, unknown][]
  try {
    entries = Object.entries(JSON.parse(text))
  } catch (cause) {
    throw new CompileError(`${label}: the header is not JSON; the file is damaged`, { cause })
  }
  const tensors = new Map<string, TensorInfo>()
  const others = new Map<string, string>()
  const metadata: Record<string, string> = {}
  for (const [name, value] of entries) {
    if (name === '__metadata__') {
      Object.assign(metadata, value)
      continue
    }
    const entry = HeaderEntry.safeParse(value)
    if (!entry.success)
      throw new CompileError(
        `${label}: tensor ${name}: ${z.prettifyError(entry.error).replaceAll('\n', ' ')}`,
      )
    const { dtype, shape, data_offsets } = entry.data
    // Integer buffers such as CLIP's position_ids are carried by some files and never read.
    if (!(dtype in BYTES_PER_VALUE)) {
      others.set(name, dtype)
      continue
    }
    const [begin, end] = data_offsets
    const expected = shape.reduce((a, b) => a * b, 1) * BYTES_PER_VALUE[dtype as FloatType]
    if (end - begin !== expected)
      throw new CompileError(
        `${label}: tensor ${name} of shape [${shape}] and type ${dtype} needs ${expected} bytes; the header gives it ${end - begin}`,
      )
    if (dataBegin + end > fileSize)
      throw new CompileError(
        `${label} is truncated: tensor ${name} ends at byte ${dataBegin + end}, but the file is ${fileSize} bytes`,
      )
    tensors.set(name, { dtype: dtype as FloatType, shape, begin: dataBegin + begin, end: dataBegin + end })
  }
  return { tensors, others, metadata }
}

function takeRows(info: TensorInfo, rows: [number, number] | undefined): TensorInfo {
  if (!rows) return info
  const rowBytes = (info.end - info.begin) / info.shape[0]!
  return { ...info, begin: info.begin + rows[0] * rowBytes, end: info.begin + rows[1] * rowBytes }
}

async function readTensor(
  file: FileHandle,
  info: TensorInfo,
  label: string,
): Promise<Float32Array<ArrayBuffer>> {
  const bytes = await readExactly(file, info.begin, info.end - info.begin, label)
  return toFloat32(bytes, info.dtype)
}

async function readExactly(
  file: FileHandle,
  position: number,
  length: number,
  label: string,
): Promise<Buffer<ArrayBuffer>> {
  const buffer = Buffer.from(new ArrayBuffer(length))
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(buffer, done, length - done, position + done)
    if (bytesRead === 0)
      throw new CompileError(
        `${label} ends after ${position + done} bytes; ${position + length} were expected`,
      )
    done += bytesRead
  }
  return buffer
}
