import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Manifest, readManifest } from '@sdcpu/diffusion'
import { type BenchOptions, ENGINES, type EngineName } from './bench-options.ts'
import { type Cpu, hasBfloat16, readCpu } from './cpu.ts'
import type { Mask } from './cpu-mask.ts'
import { commandOurs } from './measure-ours.ts'
import { formatPeers, type Measured, type Turns, writeBetweenMarkers } from './peers-report.ts'
import { findPython } from './python-environment.ts'
import type { BenchSetting } from './run-bench.ts'
import { type Command, fitTogether, runInTurns } from './run-in-turns.ts'
import { runProcess } from './run-process.ts'
import { nameOf, planWork, type Stage, type Work } from './stage.ts'

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

/** Finds at once what would spoil hours of measuring at their end. @throws Error naming it */
export async function checkPeers(options: BenchOptions): Promise<void> {
  const model = resolve(options.model)
  if (!existsSync(join(model, 'unet')))
    throw new Error(`${model} has no unet folder; --peers takes a model folder in diffusers layout`)
  const report = reportOf(options)
  if (!existsSync(report)) throw new Error(`there is no page ${report} for the table`)
  writeBetweenMarkers(await readFile(report, 'utf8'), '')
}

const reportOf = ({ report }: BenchOptions) => (report ? resolve(report) : REPORT)

/**
 * Does the same work with the same weights and threads here, in diffusers and in OpenVINO, and writes the table. Every
 * measurement is a file of its own that a later call finds, so a long comparison can be cut anywhere.
 */
export async function comparePeers(setting: BenchSetting): Promise<number> {
  const { options, dataDir, modelDir } = setting
  const { mask, out } = options
  const cpu = readCpu()
  const manifest = await readManifest(modelDir)
  const folder = join(dataDir, 'bench', folderName(manifest, { ...setting, cpu, mask }))
  await mkdir(folder, { recursive: true })
  const computesBfloat16 = hasBfloat16(cpu) && (!mask || mask === 'vnni') // what the other masks hide
  const engines = options.engines ?? ENGINES.filter((name) => name !== 'torch-bf16' || computesBfloat16)
  const python = engines.some((name) => name !== 'ours') ? await findPython(PEERS, dataDir, say) : ''
  const measurements: Measured[] = []
  for (const work of planWork({ ...options, ...setting }))
    measurements.push(...(await measureEach(engines, { ...setting, work, manifest, folder, python })))
  const table = formatPeers(measurements, { cpu, mask, model: manifest.name })
  console.log(table)
  const report = reportOf(options)
  await writeWhole(report, writeBetweenMarkers(await readFile(report, 'utf8'), table))
  if (out) await writeWhole(out, { cpu, mask, measurements })
  return 0
}

type Task = BenchSetting & { work: Work; manifest: Manifest; folder: string; python: string }

/** Measures a piece of work with each engine alone, then with each peer in turns with ours where both fit into the memory. */
async function measureEach(engines: EngineName[], task: Task): Promise<Measured[]> {
  const alone = new Map<EngineName, Measured>()
  for (const engine of engines) alone.set(engine, await measureAlone(engine, task))
  const ours = alone.get('ours')
  for (const [engine, measured] of alone)
    if (ours && engine !== 'ours' && fitTogether(ours, measured))
      measured.turns = await measureTurns(engine, task)
  return [...alone.values()]
}

function measureAlone(engine: EngineName, task: Task): Promise<Measured> {
  const label = engine === 'ours' ? labelOurs(task) : engine
  return recall({ file: label, engines: label }, task, async () => {
    const [measured] = await runInTurns([await commandOf(engine, task)], task.options.repeats)
    return measured!
  })
}

function measureTurns(peer: EngineName, task: Task): Promise<Turns> {
  const label = labelOurs(task)
  const names = { file: `turns-${label}-${peer}`, engines: `${label} and ${peer} in turns` }
  return recall(names, task, async () => {
    const commands = [await commandOf('ours', task), await commandOf(peer, task)]
    const [ours, theirs] = await runInTurns(commands, task.options.rounds)
    return { ours: ours!.seconds, peer: theirs!.seconds }
  })
}

// Graphs of another compiler version are other work.
const labelOurs = ({ manifest }: Task) => `ours-${manifest.plan}-v${manifest.compilerVersion}`

/** Gives what a file of the folder says, which is measured first unless an earlier call did. */
async function recall<Result extends object>(
  { file, engines }: { file: string; engines: string },
  { work, folder, options }: Task,
  measure: () => Promise<Result>,
): Promise<Result> {
  const path = join(folder, `${file}-${nameOf(work)}.json`)
  if (options.fresh || !existsSync(path)) {
    say(`Measuring ${nameOf(work)} with ${engines}`)
    await writeWhole(path, { ...(await measure()), measuredAt: new Date().toISOString() })
  }
  return JSON.parse(await readFile(path, 'utf8'))
}

type Place = Pick<BenchSetting, 'threads' | 'width' | 'height'> & { cpu: Cpu; mask: Mask | undefined }

/** Where measurements of one model, machine, size and number of threads lie. */
function folderName({ name, sourceHash }: Manifest, { cpu, mask, threads, width, height }: Place): string {
  const hash = createHash('sha256').update(`${cpu.name} ${cpu.flags}`).digest('hex').slice(0, 8)
  const machine = mask ? `${hash}-${mask}` : hash
  return `${name.replaceAll('/', '--')}-${sourceHash.slice(0, 16)}-${width}x${height}-${threads}t-${machine}`
}

/** The process that times a task with an engine; what that needs is converted first. */
async function commandOf(engine: EngineName, task: Task): Promise<Command> {
  const { work, options, threads, modelDir, python, env } = task
  if (engine === 'ours') return commandOurs({ ...work, modelDir, threads }, env)
  const converted = engine.startsWith('openvino') ? await convert(engine, task) : undefined
  const order = { ...work, engine, model: resolve(options.model), threads, converted }
  return {
    program: python,
    args: [join(PEERS, 'measure.py'), JSON.stringify(order)],
    label: `measuring ${nameOf(work)} with ${engine}`,
    env: { ...process.env, ...env },
  }
}

/** Converts what a task needs to OpenVINO's format, each part once, and gives the folder. */
async function convert(
  engine: EngineName,
  { work, options, dataDir, python, manifest }: Task,
): Promise<string> {
  const model = resolve(options.model)
  const at = (weights: string) =>
    join(dataDir, 'bench', 'openvino', manifest.sourceHash.slice(0, 16), weights)
  const run = async (part: string, weights: string, from: string[]) => {
    const file = join(at(weights), `${part}.xml`)
    if (existsSync(file)) return
    say(`Converting ${part} to OpenVINO, ${weights}`)
    await mkdir(at(weights), { recursive: true })
    const script = join(PEERS, 'convert.py')
    await runProcess(python, [script, model, part, weights, file, ...from], { label: `converting ${part}` })
  }
  for (const part of PARTS[work.stage]) {
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
