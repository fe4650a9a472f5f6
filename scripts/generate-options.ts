import { parseArgs } from 'node:util'
import {
  MODEL_CHECKS,
  type ModelCheck,
  SAMPLER_NAMES,
  type SamplerName,
  samplerNamed,
} from '@sdcpu/diffusion'
import {
  type LoraChoice,
  PLAN_CHOICES,
  type PlanChoice,
  TINY_DECODER,
  type VaeChoice,
} from '@sdcpu/model-compiler'
import { readLora } from './lora-option.ts'
import { readVaeChoice, VAE_OPTIONS } from './vae-option.ts'

export const USAGE = `Usage: npm run generate -- "PROMPT" [options]

  --seed N       0 to 4294967295; drawn and reported when absent. Picture i of several has seed N + i
  --steps N      1 to 50; the model's own when absent
  --size WxH     multiples of 8 from 64 to 2048; the model's own when absent
  --guidance N   how strictly the prompt is followed, 0 to 30; 1 and less are none; the model's own when absent
  --negative TEXT
                 what the picture shall not show; takes a guidance above 1
  --sampler NAME ${SAMPLER_NAMES.slice(0, 4).join(', ')},
                 ${SAMPLER_NAMES.slice(4).join(', ')}; the model's own when absent
  --image FILE   a PNG, JPEG or WebP to begin with, cut to the size around its middle
  --strength N   how far from the image to go, above 0 to 1: the share of the steps drawn (default 0.5)
  --n N          how many pictures, 1 to 16 (default 1)
  --model NAME   "demo" (default), a model folder in diffusers layout, a single-file checkpoint (.safetensors),
                 a compiled folder, or owner/name[@revision] of the hub, which is downloaded
  --lora FILE[:WEIGHT]  a LoRA merged into the model, as strongly as WEIGHT says (default 1); may be repeated
  --vae SOURCE   another VAE: a folder in diffusers layout, a file in the original layout (.safetensors), or
                 owner/name[@revision]
  --decoder KIND tiny: a small, fast VAE of less detail instead of the model's own
  --decoder-source SOURCE
                 where the tiny decoder comes from, as with --vae (default ${TINY_DECODER})
  --plan PLAN    how the model computes: fp32, int8, or auto (default), the faster of them on this machine where
                 int8's pictures are close enough to fp32's
  --threads N    CPU threads (default: the physical cores this process may use, within its CPU quota)
  --check HOW    how the compiled files are checked: quick (default), or full, which reads every byte
  --out FILE     where the PNG goes (default out.png); several become FILE-0.png, FILE-1.png, ...
  --json         print one line of JSON: seed, size, steps, sampler, guidance, token counts, warnings,
                 plan, timings, memory, files`

const MAX_SEED = 0xffffffff
const MAX_STEPS = 50 // as many as LCM and TCD have noise levels for; Turbo models gain nothing beyond 8
const MAX_GUIDANCE = 30 // as far as other tools go; pictures break long before
const MAX_COUNT = 16 // one batch: memory grows with it
const MIN_SIDE = 64
const MAX_SIDE = 2048
const SIDE_STEP = 8 // pixels to one latent

/** The command line is wrong; its message is for the person who typed it. */
export class UsageError extends Error {
  override name = 'UsageError'
}

export type GenerateOptions = {
  prompt: string
  seed: number | undefined
  steps: number | undefined
  size: { width: number; height: number } | undefined
  guidance: number | undefined
  negative: string | undefined
  sampler: SamplerName | undefined
  image: string | undefined
  strength: number | undefined
  n: number
  model: string
  loras: LoraChoice[]
  vae: VaeChoice | undefined
  plan: PlanChoice
  threads: number | undefined
  check: ModelCheck
  out: string
  json: boolean
}

/** Reads the arguments of `npm run generate`. @throws UsageError naming the argument and what it may be */
export function parseGenerateOptions(args: string[]): GenerateOptions {
  const { values, positionals } = parse(args)
  const [prompt, ...rest] = positionals
  if (!prompt?.trim()) throw new UsageError('a prompt is needed')
  if (rest.length > 0)
    throw new UsageError(`one prompt is expected; "${rest[0]}" is a second. Put quotes around it`)
  if (!values.out.endsWith('.png')) throw new UsageError(`--out is ${values.out}; it must end in .png`)
  if (values.strength !== undefined && values.image === undefined)
    throw new UsageError(`--strength is ${values.strength}, but there is no --image to begin with`)
  return {
    prompt,
    seed: readInteger('seed', values.seed, 0, MAX_SEED),
    steps: readInteger('steps', values.steps, 1, MAX_STEPS),
    size: readSize(values.size),
    guidance: readGuidance(values.guidance),
    negative: values.negative,
    sampler: readSampler(values.sampler),
    image: values.image,
    strength: readStrength(values.strength),
    n: readInteger('n', values.n, 1, MAX_COUNT) ?? 1,
    model: values.model,
    loras: orUsageError(() => values.lora.map(readLora)),
    vae: orUsageError(() => readVaeChoice(values)),
    plan: readPlan(values.plan),
    threads: readInteger('threads', values.threads, 1, 1024),
    check: readCheck(values.check),
    out: values.out,
    json: values.json,
  }
}

/** Names of the files: `out` alone, or with -0, -1, ... before its ending. */
export function outputFiles(out: string, n: number): string[] {
  if (n === 1) return [out]
  return Array.from({ length: n }, (_, i) => out.replace(/\.png$/, `-${i}.png`))
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        seed: { type: 'string' },
        steps: { type: 'string' },
        size: { type: 'string' },
        guidance: { type: 'string' },
        negative: { type: 'string' },
        sampler: { type: 'string' },
        image: { type: 'string' },
        strength: { type: 'string' },
        n: { type: 'string' },
        model: { type: 'string', default: 'demo' },
        lora: { type: 'string', multiple: true, default: [] },
        ...VAE_OPTIONS,
        plan: { type: 'string', default: 'auto' },
        threads: { type: 'string' },
        check: { type: 'string', default: 'quick' },
        out: { type: 'string', default: 'out.png' },
        json: { type: 'boolean', default: false },
      },
    })
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause })
  }
}

function readInteger(name: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < min || value > max)
    throw new UsageError(`--${name} is ${text}; it must be a whole number from ${min} to ${max}`)
  return value
}

function readGuidance(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^\d+(\.\d+)?$/.test(text) || value > MAX_GUIDANCE)
    throw new UsageError(`--guidance is ${text}; it must be a number from 0 to ${MAX_GUIDANCE}`)
  return value
}

function readSampler(text: string | undefined): SamplerName | undefined {
  if (text === undefined) return undefined
  const name = samplerNamed(text)
  if (!name) throw new UsageError(`--sampler is ${text}; it must be one of ${SAMPLER_NAMES.join(', ')}`)
  return name
}

function readPlan(text: string): PlanChoice {
  const plan = PLAN_CHOICES.find((choice) => choice === text)
  if (!plan) throw new UsageError(`--plan is ${text}; it must be one of ${PLAN_CHOICES.join(', ')}`)
  return plan
}

function readCheck(text: string): ModelCheck {
  const check = MODEL_CHECKS.find((name) => name === text)
  if (!check) throw new UsageError(`--check is ${text}; it must be ${MODEL_CHECKS.join(' or ')}`)
  return check
}

function readStrength(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^\d+(\.\d+)?$/.test(text) || value <= 0 || value > 1)
    throw new UsageError(`--strength is ${text}; it must be a number above 0 and not above 1`)
  return value
}

function orUsageError<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause })
  }
}

function readSize(text: string | undefined): GenerateOptions['size'] {
  if (text === undefined) return undefined
  const match = /^(\d+)x(\d+)$/.exec(text)
  const sides = match ? [Number(match[1]), Number(match[2])] : []
  const [width, height] = sides
  const isPossible = (side: number) => side >= MIN_SIDE && side <= MAX_SIDE && side % SIDE_STEP === 0
  if (!width || !height || !sides.every(isPossible))
    throw new UsageError(
      `--size is ${text}; it must be WIDTHxHEIGHT, each a multiple of ${SIDE_STEP} from ${MIN_SIDE} to ${MAX_SIDE}`,
    )
  return { width, height }
}
