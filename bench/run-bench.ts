import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { chooseThreads, describeModel, readManifest } from '@sdcpu/diffusion'
import { prepareModel, readHubOptions } from '@sdcpu/model-compiler'
import { type BenchOptions, parseBenchOptions, USAGE } from './bench-options.ts'
import { describeCpu, readCpu } from './cpu.ts'
import { checkMask, maskEnvironment } from './cpu-mask.ts'
import { countGmac, measureBatches, profileOurs } from './measure-ours.ts'
import { checkPeers, comparePeers } from './peers.ts'
import { findGrowth, GROWTH_LIMIT_BYTES, soak } from './soak.ts'
import { type Measurement, nameOf, planWork, type Work } from './stage.ts'
import { alignColumns, formatBytes, formatMeasurements, formatProfile } from './tables.ts'

const say = (line: string) => console.error(line)

/** What every mode of the bench is given. */
export type BenchSetting = {
  options: BenchOptions
  dataDir: string
  modelDir: string
  threads: number
  width: number
  height: number
  /** What processes that are timed find in their environment besides ours. */
  env: Record<string, string>
}

/** Runs `npm run bench` and gives its exit code: 2 for a wrong command line, 1 where something failed or grew. */
export async function runBench(args: string[]): Promise<number> {
  if (args.includes('--help')) {
    console.log(USAGE)
    return 0
  }
  let options: BenchOptions
  try {
    options = parseBenchOptions(args)
  } catch (error) {
    say(`${(error as Error).message}\n\n${USAGE}`)
    return 2
  }
  try {
    if (options.mode === 'peers') await checkPeers(options)
    return await MODES[options.mode](await settle(options))
  } catch (error) {
    say((error as Error).message)
    return 1
  }
}

async function settle(options: BenchOptions): Promise<BenchSetting> {
  const { threads, reason } = chooseThreads(options.threads)
  const { mask } = options
  const machine = readCpu()
  if (mask) checkMask(mask, machine)
  const cpu = describeCpu(machine, mask)
  say(`${cpu}\n${options.mode === 'profile' ? '1 thread, as profiles need' : reason}`)
  const dataDir = resolve(process.env.DATA_DIR || join(import.meta.dirname, '..', '.data'))
  const env = mask ? await maskEnvironment(mask, join(dataDir, 'bench')) : {}
  const { dir: modelDir } = await prepareModel({
    model: options.model,
    dataDir,
    plan: options.plan,
    cpuClass: mask,
    hub: await readHubOptions(process.env),
    onProgress: ({ message }) => say(message),
  })
  const manifest = await readManifest(modelDir)
  if (mask && manifest.cpuClass && manifest.cpuClass !== mask)
    throw new Error(
      `${modelDir} is compiled for CPUs of class ${manifest.cpuClass}, not ${mask}; give its source with --mask`,
    )
  const { nativeSize } = describeModel(manifest)
  const { width, height } = options.size ?? { width: nativeSize, height: nativeSize }
  return { options, dataDir, modelDir, threads, width, height, env }
}

const MODES: Record<BenchOptions['mode'], (setting: BenchSetting) => Promise<number>> = {
  stages: measureStages,
  profile: profileStages,
  soak: soakEngine,
  peers: comparePeers,
}

async function measureStages(setting: BenchSetting): Promise<number> {
  const { options, modelDir, threads, env } = setting
  const measurements: Measurement[] = []
  const works = planWork({ ...options, ...setting })
  for (const sizes of Map.groupBy(works, ({ stage, steps }) => `${stage} ${steps}`).values()) {
    say(`Measuring ${sizes.map(nameOf).join(', ')}`)
    const orders = sizes.map((work) => ({ ...work, modelDir, threads }))
    const measured = await measureBatches(orders, { ...options, env })
    for (const [i, measurement] of measured.entries())
      measurements.push({ ...measurement, gmac: await countGmac(orders[i]!, env) })
  }
  console.log(formatMeasurements(measurements))
  await writeOut(options, { cpu: readCpu(), mask: options.mask, measurements })
  return 0
}

async function profileStages({ options, modelDir, width, height }: BenchSetting): Promise<number> {
  const profiles: (Work & { summary: unknown })[] = []
  // A picture is the sum of its parts; the parts tell more.
  for (const stage of options.stages.filter((name) => name !== 'picture')) {
    const work: Work = { stage, batch: 1, steps: 1, width, height }
    const summary = await profileOurs({ ...work, modelDir })
    console.log(`${formatProfile(`${nameOf(work)} at ${width}x${height}`, summary)}\n`)
    profiles.push({ ...work, summary })
  }
  await writeOut(options, { cpu: readCpu(), profiles })
  return 0
}

async function soakEngine({ options, modelDir, threads, width, height }: BenchSetting): Promise<number> {
  const { pictures } = options
  const every = Math.max(1, Math.floor(pictures / 10))
  const shown: string[][] = [['pictures', 'memory']]
  const rssBytes = await soak({
    ...{ modelDir, threads, pictures, width, height },
    onPicture(count, rss) {
      if (count % every === 0) shown.push([String(count), formatBytes(rss)])
    },
  })
  const growth = findGrowth(rssBytes)
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`
  console.log(alignColumns(shown))
  console.log(
    `Memory grew by ${megabytes(growth)} over ${pictures} pictures; the limit is ${megabytes(GROWTH_LIMIT_BYTES)}`,
  )
  await writeOut(options, { cpu: readCpu(), rssBytes, growth })
  return growth <= GROWTH_LIMIT_BYTES ? 0 : 1
}

async function writeOut({ out }: BenchOptions, results: object): Promise<void> {
  if (out) await writeFile(out, `${JSON.stringify(results, null, 2)}\n`)
}
