import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Manifest, readManifest } from '@sdcpu/diffusion'
import { ENGINES, type EngineName } from './bench-options.ts'
import { type Cpu, hasBfloat16, readCpu } from './cpu.ts'
import { measureOurs } from './measure-ours.ts'
import { formatPeers, writeBetweenMarkers } from './peers-report.ts'
import { findPython } from './python-environment.ts'
import type { BenchSetting } from './run-bench.ts'
import { runProcess } from './run-process.ts'
import { type Measurement, nameOf, planWork, type Stage, type Work } from './stage.ts'

const PEERS = join(import.meta.dirname, 'peers')
const REPORT = join(import.meta.dirname, '..', 'docs', 'performance.md')
// What each stage runs; as in peers/parts.py.
const PARTS: Record<Stage, string[]> = {
  text: ['text_encoder', 'text_encoder_2'],
  unet: ['unet'],
  decode: ['vae'],
  picture: ['text_encoder', 'text_encoder_2', 'unet', 'vae'],
}

const say = (line: string) => console.error(line)

/**
 * Does the same work with the same weights and threads here, in diffusers and in OpenVINO, one process each, and writes
 * the table. Every measurement is a file of its own that a later call finds, so a long comparison can be cut anywhere.
 */
export async function comparePeers(setting: BenchSetting): Promise<number> {
  const { options, dataDir, modelDir, threads, width, height } = setting
  const model = resolve(options.model)
  if (!existsSync(join(model, 'unet')))
    throw new Error(`${model} has no unet folder; --peers takes a model folder in diffusers layout`)
  const cpu = readCpu()
  const manifest = await readManifest(modelDir)
  const folder = join(dataDir, 'bench', folderName(manifest, { cpu, threads, width, height }))
  await mkdir(folder, { recursive: true })
  const engines = options.engines ?? ENGINES.filter((name) => name !== 'torch-bf16' || hasBfloat16(cpu))
  const python = engines.some((name) => name !== 'ours') ? await findPython(PEERS, dataDir, say) : ''
  const measurements: Measurement[] = []
  for (const work of planWork({ ...options, ...setting }))
    for (const engine of engines) {
      const label = engine === 'ours' ? `ours-${manifest.plan}` : engine
      const file = join(folder, `${label}-${nameOf(work)}.json`)
      if (options.fresh || !existsSync(file)) {
        say(`Measuring ${nameOf(work)} with ${label}`)
        const measured =
          engine === 'ours'
            ? await measureOurs({ ...work, modelDir, threads, repeats: options.repeats })
            : await measurePeer(engine, work, { ...setting, model, folder: dataDir, python, manifest })
        await writeWhole(file, { ...measured, measuredAt: new Date().toISOString() })
      }
      measurements.push(JSON.parse(await readFile(file, 'utf8')))
    }
  const table = formatPeers(measurements, { cpu, model: manifest.name })
  console.log(table)
  const report = options.report ? resolve(options.report) : REPORT
  await writeWhole(report, writeBetweenMarkers(await readFile(report, 'utf8'), table))
  if (options.out) await writeWhole(options.out, { cpu, measurements })
  return 0
}

/** Where measurements of one model, machine, size and number of threads lie. */
function folderName(
  { name, sourceHash }: Manifest,
  { cpu, threads, width, height }: { cpu: Cpu; threads: number; width: number; height: number },
): string {
  const machine = createHash('sha256').update(`${cpu.name} ${cpu.flags}`).digest('hex').slice(0, 8)
  return `${name.replaceAll('/', '--')}-${sourceHash.slice(0, 16)}-${width}x${height}-${threads}t-${machine}`
}

type PeerSetting = BenchSetting & { model: string; folder: string; python: string; manifest: Manifest }

async function measurePeer(
  engine: EngineName,
  work: Work,
  { model, threads, options, folder, python, manifest }: PeerSetting,
): Promise<Measurement> {
  const converted = engine.startsWith('openvino')
    ? await convert(engine, work.stage, { model, folder, python, manifest })
    : undefined
  const order = { ...work, engine, model, threads, repeats: options.repeats, converted }
  const script = join(PEERS, 'measure.py')
  const label = `measuring ${nameOf(work)} with ${engine}`
  const printed = await runProcess(python, [script, JSON.stringify(order)], { label })
  // Libraries may have printed before.
  return JSON.parse(printed.trimEnd().split('\n').at(-1)!)
}

/** Converts what a stage needs to OpenVINO's format, each part once, and gives the folder. */
async function convert(
  engine: EngineName,
  stage: Stage,
  { model, folder, python, manifest }: Pick<PeerSetting, 'model' | 'folder' | 'python' | 'manifest'>,
): Promise<string> {
  const at = (weights: string) => join(folder, 'bench', 'openvino', manifest.sourceHash.slice(0, 16), weights)
  const run = async (part: string, weights: string, from: string[]) => {
    const file = join(at(weights), `${part}.xml`)
    if (existsSync(file)) return
    say(`Converting ${part} to OpenVINO, ${weights}`)
    await mkdir(at(weights), { recursive: true })
    const script = join(PEERS, 'convert.py')
    await runProcess(python, [script, model, part, weights, file, ...from], { label: `converting ${part}` })
  }
  for (const part of PARTS[stage]) {
    await run(part, 'fp16', [])
    if (engine === 'openvino-int8') await run(part, 'int8', [join(at('fp16'), `${part}.xml`)])
  }
  return at(engine === 'openvino-int8' ? 'int8' : 'fp16')
}

/** A file that has its name is whole, even if the process was killed. */
async function writeWhole(file: string, content: string | object): Promise<void> {
  const draft = `${file}.${process.pid}.partial`
  await writeFile(draft, typeof content === 'string' ? content : `${JSON.stringify(content, null, 2)}\n`)
  await rename(draft, file)
}
