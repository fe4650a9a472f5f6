// Compiles a model, downloading it first where it is a repository: `npm run compile -- MODEL`.
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type PrepareOptions, prepareModel, readHubOptions, TINY_DECODER } from '@sdcpu/model-compiler'
import { readLora } from './lora-option.ts'
import { progressLine } from './progress-line.ts'
import { readVaeChoice, VAE_OPTIONS } from './vae-option.ts'

const USAGE = `Usage: npm run compile -- MODEL [--lora FILE[:WEIGHT]] [--vae SOURCE | --decoder tiny] [--plan fp32]

  MODEL   "demo", a model folder in diffusers layout, a single-file checkpoint (.safetensors), or
          owner/name[@revision] of the hub
  --lora  a LoRA merged into the model, as strongly as WEIGHT says (default 1); may be repeated
  --vae   another VAE: a folder in diffusers layout, a file in the original layout (.safetensors), or
          owner/name[@revision]
  --decoder tiny
          a small, fast VAE of less detail instead of the model's own; --decoder-source SOURCE says where it
          comes from, as with --vae (default ${TINY_DECODER})
  --plan  how the model computes: fp32 (default)

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
    const { dir } = await prepareModel({
      ...options,
      dataDir: resolve(process.env.DATA_DIR || join(import.meta.dirname, '..', '.data')),
      plan: 'fp32',
      hub: await readHubOptions(process.env),
      onProgress: (progress) => console.error(progressLine(progress)),
    })
    const seconds = (performance.now() - started) / 1000
    const gigabytes = (process.resourceUsage().maxRSS * 1024) / 1e9
    console.error(`Done in ${seconds.toFixed(1)} s, peak memory ${gigabytes.toFixed(2)} GB`)
    console.log(dir)
    return 0
  } catch (error) {
    console.error((error as Error).message)
    return 1
  }
}

type CompileChoices = Pick<PrepareOptions, 'model' | 'loras' | 'vae'>

function readOptions(args: string[]): CompileChoices {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      plan: { type: 'string', default: 'fp32' },
      lora: { type: 'string', multiple: true, default: [] },
      ...VAE_OPTIONS,
    },
  })
  if (positionals.length !== 1) throw new Error(`one model is expected; ${positionals.length} were given`)
  if (values.plan !== 'fp32') throw new Error(`--plan is ${values.plan}; it must be fp32`)
  const vae = readVaeChoice(values)
  return { model: positionals[0]!, loras: values.lora.map(readLora), ...(vae && { vae }) }
}
