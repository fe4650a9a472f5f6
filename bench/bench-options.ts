import { parseArgs } from 'node:util'
import { PLAN_CHOICES, type PlanChoice } from '@sdcpu/model-compiler'
import { MASKS, type Mask } from './cpu-mask.ts'
import { STAGES, type Stage } from './stage.ts'

export const USAGE = `Usage: npm run bench -- [options]             times every stage in a process of its own
       npm run bench -- --profile [options]   share of the time that one thread has to do alone
       npm run bench -- --soak N [options]    draws N pictures; memory may grow by 100 MB at most
       npm run bench -- --peers [options]     the same work in diffusers and OpenVINO, into docs/performance.md

  --model NAME      "demo" (default), a model folder in diffusers layout, a single-file checkpoint, or a repository;
                    --peers takes a folder in diffusers layout
  --plan PLAN       how the compiled model computes: fp32 (default), int8 or auto
  --size WxH        multiples of 8; the model's own when absent
  --threads N       default: the physical cores this process may use, within its CPU quota
  --stages LIST     of text, unet, decode, picture (default all)
  --batches LIST    images at once (default 1,2,4; with --peers 1)
  --steps LIST      steps of the pictures (default 1,4; with --peers 1)
  --repeats N       timed runs of each alone, after one that is not (default 3)
  --rounds N        runs of two in turns, a batch and one image or two engines (default 5, or as many as --repeats)
  --out FILE        the results as JSON
  --mask CLASS      avx2, avx512 or vnni: as on a CPU that has nothing newer; for times, alone or with --peers
  --engines LIST    with --peers: of ours, torch-fp32, torch-bf16, openvino-fp16, openvino-int8 (default: all the CPU has)
  --fresh           with --peers: measures again what an earlier call measured
  --report FILE     with --peers: the page that gets the table (default docs/performance.md)`

export const ENGINES = ['ours', 'torch-fp32', 'torch-bf16', 'openvino-fp16', 'openvino-int8'] as const
export type EngineName = (typeof ENGINES)[number]

export type BenchOptions = {
  mode: 'stages' | 'profile' | 'soak' | 'peers'
  model: string
  plan: PlanChoice
  size: { width: number; height: number } | undefined
  threads: number | undefined
  stages: Stage[]
  batches: number[]
  steps: number[]
  repeats: number
  /** Runs in turns. */
  rounds: number
  /** Pictures of a soak. */
  pictures: number
  out: string | undefined
  engines: EngineName[] | undefined
  fresh: boolean
  report: string | undefined
  /** Class of the CPU that this one stands in for. */
  mask: Mask | undefined
}

// Fewer say too little of a machine whose pace changes.
const ROUNDS = 5

/** Reads the arguments of `npm run bench`. @throws Error naming the argument and what it may be */
export function parseBenchOptions(args: string[]): BenchOptions {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: 'string', default: 'demo' },
      plan: { type: 'string', default: 'fp32' },
      size: { type: 'string' },
      threads: { type: 'string' },
      stages: { type: 'string', default: STAGES.join(',') },
      batches: { type: 'string' },
      steps: { type: 'string' },
      repeats: { type: 'string', default: '3' },
      rounds: { type: 'string' },
      out: { type: 'string' },
      profile: { type: 'boolean', default: false },
      soak: { type: 'string' },
      peers: { type: 'boolean', default: false },
      engines: { type: 'string' },
      fresh: { type: 'boolean', default: false },
      report: { type: 'string' },
      mask: { type: 'string' },
    },
  })
  const [mode = 'stages', second] = (['profile', 'soak', 'peers'] as const).filter((name) => values[name])
  if (second) throw new Error(`--${mode} and --${second} are two commands; give one`)
  for (const name of ['engines', 'report'] as const)
    if (values[name] !== undefined && mode !== 'peers') throw new Error(`--${name} belongs to --peers`)
  if (values.fresh && mode !== 'peers') throw new Error('--fresh belongs to --peers')
  for (const name of ['mask', 'rounds'] as const)
    if (values[name] !== undefined && mode !== 'stages' && mode !== 'peers')
      throw new Error(`--${name} belongs to --peers or to times of stages, not to --${mode}`)
  const repeats = readCount('repeats', values.repeats, 100)
  const plan = PLAN_CHOICES.find((choice) => choice === values.plan)
  if (!plan) throw new Error(`--plan is ${values.plan}; it must be one of ${PLAN_CHOICES.join(', ')}`)
  // The trial that decides runs in this process, which is not masked.
  if (values.mask !== undefined && plan === 'auto')
    throw new Error('--plan is auto, which this CPU decides by its own times; --mask needs fp32 or int8')
  return {
    mode,
    model: values.model,
    plan,
    size: readSize(values.size),
    threads: values.threads === undefined ? undefined : readCount('threads', values.threads, 1024),
    stages: readNames('stages', values.stages, STAGES),
    batches: readCounts('batches', values.batches ?? (mode === 'peers' ? '1' : '1,2,4'), 16),
    steps: readCounts('steps', values.steps ?? (mode === 'peers' ? '1' : '1,4'), 8),
    repeats,
    rounds: values.rounds === undefined ? Math.max(repeats, ROUNDS) : readCount('rounds', values.rounds, 100),
    pictures: readCount('soak', values.soak ?? '100', 100_000),
    out: values.out,
    engines: values.engines === undefined ? undefined : readNames('engines', values.engines, ENGINES),
    fresh: values.fresh,
    report: values.report,
    mask: values.mask === undefined ? undefined : readMask(values.mask),
  }
}

function readCount(option: string, text: string, limit: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > limit)
    throw new Error(`--${option} is ${text}; it must be a whole number from 1 to ${limit}`)
  return value
}

const readCounts = (option: string, text: string, limit: number) =>
  text.split(',').map((part) => readCount(option, part, limit))

function readNames<Name extends string>(option: string, text: string, names: readonly Name[]): Name[] {
  return text.split(',').map((part) => {
    const name = names.find((known) => known === part)
    if (!name) throw new Error(`--${option} is ${text}; it must be of ${names.join(', ')}`)
    return name
  })
}

function readMask(text: string): Mask {
  const mask = MASKS.find((known) => known === text)
  if (!mask) throw new Error(`--mask is ${text}; it must be one of ${MASKS.join(', ')}`)
  return mask
}

function readSize(text: string | undefined): BenchOptions['size'] {
  if (text === undefined) return undefined
  const [, width, height] = (/^(\d+)x(\d+)$/.exec(text) ?? []).map(Number)
  if (!width || !height || width % 8 !== 0 || height % 8 !== 0)
    throw new Error(`--size is ${text}; it must be WIDTHxHEIGHT, each a multiple of 8`)
  return { width, height }
}
