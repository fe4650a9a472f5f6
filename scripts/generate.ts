// Draws pictures to files without any service: `npm run generate -- "PROMPT"`.
import { randomInt } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import {
  chooseThreads,
  DEFAULT_STRENGTH,
  type DrawnImage,
  drawnSteps,
  type ImageInput,
  startEngine,
} from '@sdcpu/diffusion'
import { prepareModel, readHubOptions } from '@sdcpu/model-compiler'
import {
  type GenerateOptions,
  outputFiles,
  parseGenerateOptions,
  USAGE,
  UsageError,
} from './generate-options.ts'
import { progressLine } from './progress-line.ts'

const SEEDS = 2 ** 32
const say = (line: string) => console.error(line)

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    console.log(USAGE)
    return 0
  }
  try {
    await draw(parseGenerateOptions(args))
    return 0
  } catch (error) {
    if (error instanceof UsageError) {
      say(`${error.message}\n\n${USAGE}`)
      return 2
    }
    say(error instanceof Error ? error.message : String(error))
    return 1
  }
}

async function draw(options: GenerateOptions): Promise<void> {
  const { prompt, n, plan, check } = options
  const started = performance.now()
  const { threads, reason } = chooseThreads(options.threads)
  const dataDir = resolve(process.env.DATA_DIR || join(import.meta.dirname, '..', '.data'))
  const image = options.image === undefined ? undefined : await readImage(options.image)
  const { dir } = await prepareModel({
    model: options.model,
    loras: options.loras,
    ...(options.vae && { vae: options.vae }),
    dataDir,
    plan,
    threads,
    hub: await readHubOptions(process.env),
    onProgress: (progress) => say(progressLine(progress)),
  })
  say(`Loading the model for ${reason}`)
  const engine = await startEngine({ modelDir: dir, threads, check })
  try {
    const load = performance.now() - started
    const { nativeSize, recommended } = engine.model
    const { width, height } = options.size ?? { width: nativeSize, height: nativeSize }
    const steps = options.steps ?? recommended.steps
    const seed = options.seed ?? randomInt(SEEDS)
    const settings = { prompt, ...readSettings(options), ...(image && { image }), width, height, steps }
    const inputs = Array.from({ length: n }, (_, i) => ({ ...settings, seed: (seed + i) % SEEDS }))
    const drawn = drawnSteps(steps, image && (options.strength ?? DEFAULT_STRENGTH))
    const images = await engine.generate(inputs, { onStep: (step) => say(`Step ${step} of ${drawn}`) })
    const files = outputFiles(options.out, n)
    await mkdir(dirname(resolve(options.out)), { recursive: true })
    for (const [i, image] of images.entries()) await writeFile(files[i]!, image.png)
    const { sampler, guidance, strength, tokenCounts, warnings = [] } = images[0]!
    for (const warning of warnings) say(`Warning: ${warning}`)
    report(options, {
      seed,
      size: `${width}x${height}`,
      steps,
      sampler,
      guidance,
      ...(strength !== undefined && { strength }),
      tokenCounts,
      warnings,
      plan: engine.model.plan,
      threads,
      timingsMs: roundTimes({ load, ...images[0]!.timingsMs }),
      // maxRSS is in KiB.
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
      files,
    })
  } finally {
    await engine.close()
  }
}

/** A buffer of its own, which the engine's thread can be given. */
async function readImage(path: string): Promise<Uint8Array> {
  const bytes = await readFile(path).catch((cause) => {
    throw new Error(`--image ${path} cannot be read: ${(cause as Error).message}`, { cause })
  })
  return new Uint8Array(bytes)
}

/** The inputs' optional settings, of those given. */
function readSettings({ guidance, negative, sampler, strength }: GenerateOptions): Partial<ImageInput> {
  return {
    ...(guidance !== undefined && { guidance }),
    ...(negative !== undefined && { negativePrompt: negative }),
    ...(sampler && { sampler }),
    ...(strength !== undefined && { strength }),
  }
}

type Report = {
  seed: number
  size: string
  steps: number
  sampler: DrawnImage['sampler']
  guidance: DrawnImage['guidance']
  strength?: number
  tokenCounts: DrawnImage['tokenCounts']
  warnings: string[]
  plan: string
  threads: number
  timingsMs: Record<string, number | number[]>
  peakRssBytes: number
  files: string[]
}

function report({ json }: GenerateOptions, result: Report): void {
  if (json) console.log(JSON.stringify(result))
  else console.log(`${result.files.join(', ')}  seed ${result.seed}, ${result.size}, ${result.steps} steps`)
}

// A tenth of a millisecond is as much as a timing means.
function roundTimes(timings: Record<string, number | number[]>): Record<string, number | number[]> {
  const round = (value: number) => Math.round(value * 10) / 10
  return Object.fromEntries(
    Object.entries(timings).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.map(round) : round(value),
    ]),
  )
}
