// Proves that a full-size single-file checkpoint compiles and draws, and reports time and memory:
// `npm run bench:single-file`. Its weights are random, so the picture is noise.
import { mkdir, stat, statfs } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { prepareModel } from '@sdcpu/model-compiler'
import { progressLine } from './progress-line.ts'
import { writeRandomCheckpoint } from './random-checkpoint.ts'
import { runScript } from './run-script.ts'

const USAGE = `Usage: npm run bench:single-file -- [--mid] [--size WxH] [--steps N] [--threads N] [--dir DIR]

  --mid      of full depth but a fraction of the width: 0.3 GB instead of 6.9, minutes instead of an hour
  --size     size of the picture (default 512x512)
  --steps    denoising steps (default 1)
  --threads  CPU threads that draw (default: all this process may use)
  --dir      where the checkpoint and the compiled model go and stay (default .data/bench-single-file); another run
             takes them as they are

Prints one line of JSON: bytes and seconds of writing, compiling and drawing, and peak memory of the last two.`

// Checkpoint and compiled model (fp32 is twice the file), and some room.
const NEEDED_BYTES = { full: 22e9, mid: 1.5e9 }

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  let options: ReturnType<typeof readOptions>
  try {
    options = readOptions(args)
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`)
    return 2
  }
  try {
    console.log(JSON.stringify(await measure(options)))
    return 0
  } catch (error) {
    console.error((error as Error).message)
    return 1
  }
}

function readOptions(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      mid: { type: 'boolean', default: false },
      size: { type: 'string', default: '512x512' },
      steps: { type: 'string', default: '1' },
      threads: { type: 'string' },
      dir: { type: 'string', default: join(import.meta.dirname, '..', '.data', 'bench-single-file') },
    },
  })
  return { ...values, dir: resolve(values.dir) }
}

async function measure({ mid, size, steps, threads, dir }: ReturnType<typeof readOptions>): Promise<object> {
  const path = join(dir, mid ? 'mid-turbo.safetensors' : 'full-turbo.safetensors')
  const dataDir = join(dir, 'data')
  await mkdir(dir, { recursive: true })
  const written = await timed(async () => (await sizeOf(path)) ?? write(path, { mid, dir }))
  const compiled = await timed(() =>
    prepareModel({
      model: path,
      dataDir,
      plan: 'fp32',
      onProgress: (progress) => console.error(progressLine(progress)),
    }),
  )
  // In KiB. Writing holds some megabytes at a time, so that this is the compiler's.
  const compilePeakRssBytes = process.resourceUsage().maxRSS * 1024
  console.error('Drawing')
  const drawing = [
    'a red fox',
    '--model',
    path,
    '--size',
    size,
    '--steps',
    steps,
    '--seed',
    '7',
    '--plan',
    'fp32',
    '--json',
  ]
  const { value: drawn, seconds } = await timed(() =>
    runScript('generate.ts', [...drawing, ...(threads ? ['--threads', threads] : [])], {
      cwd: dir,
      env: { DATA_DIR: dataDir },
    }),
  )
  if (drawn.code !== 0) throw new Error(drawn.stderr.trimEnd())
  const { timingsMs, peakRssBytes, plan } = JSON.parse(drawn.stdout)
  return {
    checkpoint: { bytes: written.value, writeSeconds: written.seconds },
    compile: { plan, seconds: compiled.seconds, peakRssBytes: compilePeakRssBytes },
    draw: { size, steps: Number(steps), seconds, timingsMs, peakRssBytes },
  }
}

async function write(path: string, { mid, dir }: { mid: boolean; dir: string }): Promise<number> {
  const { bavail, bsize } = await statfs(dir)
  const needed = NEEDED_BYTES[mid ? 'mid' : 'full']
  if (bavail * bsize < needed)
    throw new Error(
      `${dir} has ${(bavail * bsize) / 1e9} GB free; ${needed / 1e9} are needed. Name another place with --dir`,
    )
  console.error(`Writing ${path}`)
  return writeRandomCheckpoint(path, { mid })
}

function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  )
}

async function timed<T>(run: () => Promise<T>): Promise<{ value: T; seconds: number }> {
  const started = performance.now()
  const value = await run()
  return { value, seconds: Math.round((performance.now() - started) / 100) / 10 }
}
