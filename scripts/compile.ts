// Compiles a model, downloading it first where it is a repository: `npm run compile -- MODEL`.
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import {
  describeFigures,
  PLAN_CHOICES,
  type PreparedModel,
  type PrepareOptions,
  prepareModel,
  readHubOptions,
  TINY_DECODER,
} from '@sdcpu/model-compiler'
import { readLora } from './lora-option.ts'
import { progressLine } from './progress-line.ts'
import { readVaeChoice, VAE_OPTIONS } from './vae-option.ts'

const USAGE = `Usage: npm run compile -- MODEL [--lora FILE[:WEIGHT]] [--vae SOURCE | --decoder tiny] [--plan PLAN]
                               [--no-audit]

  MODEL   "demo", a model folder in diffusers layout, a single-file checkpoint (.safetensors), or
          owner/name[@revision] of the hub
  --lora  a LoRA merged into the model, as strongly as WEIGHT says (default 1); may be repeated
  --vae   another VAE: a folder in diffusers layout, a file in the original layout (.safetensors), or
          owner/name[@revision]
  --decoder tiny
          a small, fast VAE of less detail instead of the model's own; --decoder-source SOURCE says where it
          comes from, as with --vae (default ${TINY_DECODER})
  --plan  how the model computes: fp32, int8, or auto (default), which takes the one that draws faster on this
          machine, and int8 only where its pictures are close enough to fp32's
  --no-audit
          does not try an int8 model against fp32; auto is fp32 then

Prints the compiled model's folder, which lies under DATA_DIR (default .data). Downloads come from HF_ENDPOINT
(default https://huggingface.co), with HF_TOKEN or the file named by HF_TOKEN_PATH, through HTTPS_PROXY where set.`

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  let options: CompileChoices
  try {
    options = readOptions(args)
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`)
    return 2
  }
  const started = performance.now()
  try {
    const prepared = await prepareModel({
      ...options,
      dataDir: resolve(process.env.DATA_DIR || join(import.meta.dirname, '..', '.data')),
      hub: await readHubOptions(process.env),
      onProgress: (progress) => console.error(progressLine(progress)),
    })
    const seconds = (performance.now() - started) / 1000
    const gigabytes = (process.resourceUsage().maxRSS * 1024) / 1e9
    console.error(`Done in ${seconds.toFixed(1)} s, peak memory ${gigabytes.toFixed(2)} GB`)
    for (const line of describe(prepared)) console.error(line)
    console.log(prepared.dir)
    return 0
  } catch (error) {
    console.error((error as Error).message)
    return 1
  }
}

type CompileChoices = Pick<PrepareOptions, 'model' | 'loras' | 'vae' | 'plan' | 'audit'>

function readOptions(args: string[]): CompileChoices {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      plan: { type: 'string', default: 'auto' },
      'no-audit': { type: 'boolean', default: false },
      lora: { type: 'string', multiple: true, default: [] },
      ...VAE_OPTIONS,
    },
  })
  if (positionals.length !== 1) throw new Error(`one model is expected; ${positionals.length} were given`)
  const plan = PLAN_CHOICES.find((choice) => choice === values.plan)
  if (!plan) throw new Error(`--plan is ${values.plan}; it must be one of ${PLAN_CHOICES.join(', ')}`)
  const vae = readVaeChoice(values)
  const loras = values.lora.map(readLora)
  return { model: positionals[0]!, loras, plan, audit: !values['no-audit'], ...(vae && { vae }) }
}

/** Which plan the model has, and why. */
function describe({ plan, audit }: PreparedModel): string[] {
  if (!audit) return [`Plan ${plan}${plan === 'int8' ? ', not audited' : ''}`]
  const { fp32, int8, oneTerm } = audit.pictureMs
  const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`
  const cost = audit.moved > 0 ? `, ${seconds(oneTerm)} before ${audit.moved} layers were made finer` : ''
  return [
    `Plan ${plan}: a picture of one step takes ${seconds(int8)} as int8${cost}, and ${seconds(fp32)} as fp32`,
    `int8 against fp32, the worst of ${audit.prompts} prompts: ${describeFigures(audit)}`,
  ]
}
