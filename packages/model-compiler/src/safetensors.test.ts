import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openSafetensors } from './safetensors.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sd-safetensors-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function write(
  header: unknown,
  data: Uint8Array,
  { length }: { length?: number } = {},
): Promise<string> {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const prefix = Buffer.alloc(8)
  prefix.writeBigUInt64LE(BigInt(length ?? text.length))
  const path = join(folder, `${Math.random()}.safetensors`)
  await writeFile(path, Buffer.concat([prefix, text, data]))
  return path
}

const open = async (path: string) => {
  const file = await openSafetensors(path, 'unet/weights.safetensors')
  await file.close()
}

it('reads tensors by name and leaves integer buffers and metadata alone', async () => {
  const data = Buffer.concat([Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer), Buffer.alloc(8)])
  const path = await write(
    {
      __metadata__: { format: 'pt' },
      weight: { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] },
      position_ids: { dtype: 'I64', shape: [1], data_offsets: [24, 32] },
    },
    data,
  )
  const file = await openSafetensors(path, 'x')
  expect([...file.tensors.keys()]).toEqual(['weight'])
  expect([...(await file.read('weight'))]).toEqual([1, 2, 3, 4, 5, 6])
  await file.close()
})

const entry = { weight: { dtype: 'F16', shape: [2, 2], data_offsets: [0, 8] } }

it.each([
  [
    'a file shorter than its tensors',
    () => write(entry, new Uint8Array(4)),
    /is truncated: tensor weight ends at byte \d+, but the file is \d+ bytes/,
  ],
  [
    'a header longer than the file',
    () => write(entry, new Uint8Array(8), { length: 9999 }),
    /is truncated: header of 9999 bytes/,
  ],
  [
    'a header of absurd length',
    () => write(entry, new Uint8Array(8), { length: 2 ** 50 }),
    /claims 1125899906842624 bytes; the limit is 100000000/,
  ],
  ['a header that is not JSON', () => write('{"weight": ', new Uint8Array(8)), /the header is not JSON/],
  [
    'a shape that does not fit its bytes',
    () => write({ weight: { ...entry.weight, shape: [2, 3] } }, new Uint8Array(8)),
    /tensor weight of shape \[2,3\] and type F16 needs 12 bytes; the header gives it 8/,
  ],
  [
    'an entry without offsets',
    () => write({ weight: { dtype: 'F16', shape: [2] } }, new Uint8Array(8)),
    /tensor weight: .*data_offsets/,
  ],
])('refuses %s, naming the file', async (_what, make, message) => {
  const path = await make()
  await expect(open(path)).rejects.toThrow(message)
  await expect(open(path)).rejects.toThrow('unet/weights.safetensors')
})
