import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Audit, CpuClass } from '@sdcpu/diffusion'
import {
  BOUNDS,
  chooseSchemes,
  countFiner,
  type Figures,
  type Floor,
  meetsBounds,
  promptCount,
  type Reference,
} from './audit.ts'
import { type CompileOptions, compileModel, compileReference, writeManifest } from './compile.ts'
import { CompileError } from './compile-error.ts'
import { auditModel, auditReference } from './run-audit.ts'
import type { LayerChoices } from './scheme.ts'
import type { ModelSource } from './source.ts'

// With less, a layer keeps finding its scale anew.
const STATIC_DB = 30

/**
 * What every layer must reach in one attempt after another. One product is at 38 dB on well-behaved values, so the first
 * attempts move outliers alone, then constant scales are given up, and the last leaves nothing to one product.
 */
const ATTEMPTS: Floor[] = [
  { leastDb: Number.NEGATIVE_INFINITY, staticDb: STATIC_DB },
  { leastDb: 24, staticDb: STATIC_DB },
  ...[24, 28, 32, 36, 40, 60].map((leastDb) => ({ leastDb })),
]

export type AuditedOptions = Omit<CompileOptions, 'plan' | 'choices'> & {
  cpuClass: CpuClass
  /** `int8`, or whichever of the two draws faster here, where int8 is good enough. */
  plan: 'int8' | 'auto'
  /** Threads to draw with. */
  threads: number
}

/**
 * Compiles a source as int8 into `folder`, after trying it against fp32 on calibration prompts: layers are moved to finer
 * schemes until the pictures are close enough. The figures go into the manifest. Needs the fp32 model on disk meanwhile.
 * @throws CompileError when the weights do not fit the configs or, with plan int8, when the bounds cannot be met
 */
export async function compileAudited(
  source: ModelSource,
  folder: string,
  options: AuditedOptions,
): Promise<void> {
  await mkdir(folder, { recursive: true })
  const referenceFolder = join(folder, 'reference')
  const say = (message: string) => options.onProgress?.({ message, done: 0, total: 0 })
  say('Compiling the fp32 reference for the audit')
  const probed = await compileReference(source, referenceFolder, { ...options, plan: 'fp32' })
  say('Drawing with the reference')
  const reference = await auditReference({ folder: referenceFolder, threads: options.threads }, probed)
  await rm(referenceFolder, { recursive: true })
  const integerFolder = join(folder, 'int8')
  const { audit, isGood } = await repair(source, integerFolder, options, reference)
  if (isGood && (options.plan === 'int8' || audit.pictureMs.int8 < audit.pictureMs.fp32))
    return moveUp(integerFolder, folder)
  await rm(integerFolder, { recursive: true })
  if (options.plan === 'int8')
    throw new CompileError(
      `${options.name} cannot be compiled as int8: ${describeFigures(audit)} with the finest layers there are. Compile with plan fp32`,
    )
  await compileModel(source, folder, { ...options, plan: 'fp32', audit })
}

/** Leaves in `folder` the first attempt that meets the bounds, or else the last. */
async function repair(
  source: ModelSource,
  folder: string,
  options: AuditedOptions,
  reference: Reference,
): Promise<{ audit: Audit; isGood: boolean }> {
  let attempt: { audit: Audit; isGood: boolean } | undefined
  let tried: string | undefined
  for (const floor of ATTEMPTS) {
    const choices = chooseSchemes(reference, floor)
    if (JSON.stringify(choices) === tried) continue
    tried = JSON.stringify(choices)
    await rm(folder, { recursive: true, force: true })
    attempt = await tryPlan(source, folder, { options, reference, choices, first: attempt?.audit })
    const { audit, isGood } = attempt
    options.onProgress?.({
      message: `${isGood ? 'Within' : 'Out of'} bounds with ${audit.moved} finer layers: ${describeFigures(audit)}`,
      done: 0,
      total: 0,
    })
    if (isGood) break
  }
  return attempt!
}

type Attempt = {
  options: AuditedOptions
  reference: Reference
  choices: LayerChoices
  /** Figures of the attempt before any layer was moved; absent in that attempt itself. */
  first: Audit | undefined
}

async function tryPlan(
  source: ModelSource,
  folder: string,
  { options, reference, choices, first }: Attempt,
): Promise<{ audit: Audit; isGood: boolean }> {
  const manifest = await compileModel(source, folder, { ...options, plan: 'int8', choices })
  const { figures, pictureMs } = await auditModel({ folder, threads: options.threads }, reference)
  const audit: Audit = {
    prompts: promptCount,
    ...figures,
    pictureMs: {
      fp32: reference.pictureMs,
      oneTerm: first?.pictureMs.oneTerm ?? pictureMs,
      int8: pictureMs,
    },
    moved: countFiner(choices),
  }
  await writeManifest(folder, { ...manifest, audit })
  return { audit, isGood: meetsBounds(figures) }
}

/** One sentence of figures beside their bounds. */
export function describeFigures({ latentsDb, oneStepDb, fourStepsDb }: Figures): string {
  const of = (value: number, bound: number) => `${value.toFixed(1)} dB (at least ${bound})`
  return `latents ${of(latentsDb, BOUNDS.latentsDb)}, pictures of one step ${of(oneStepDb, BOUNDS.oneStepDb)}, of four ${of(fourStepsDb, BOUNDS.fourStepsDb)}`
}

async function moveUp(from: string, to: string): Promise<void> {
  // The manifest last: a folder that has one is whole.
  const names = (await readdir(from)).sort((a, b) => Number(a === 'model.json') - Number(b === 'model.json'))
  for (const name of names) await rename(join(from, name), join(to, name))
  await rm(from, { recursive: true })
}
