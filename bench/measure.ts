// Times one piece of work as `runInTurns` asks, or profiles it, as a process of its own so that memory is this work's alone.
import { writeSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import {
  createGenerator,
  decode,
  drawNoise,
  encodePrompts,
  generate,
  type LoadOptions,
  loadDecoder,
  loadDenoiser,
  loadModel,
  loadTextEncoders,
  type Manifest,
  type Model,
  readManifest,
  sample,
} from '@sdcpu/diffusion'
import { readPeakRss } from './peak-rss.ts'
import { type ProfileSummary, readProfile, summarizeProfiles } from './profile.ts'
import type { Work } from './stage.ts'

export type MeasureOrder = Work & {
  modelDir: string
  threads: number
  /** Gives a profile instead of timings: of a `first` run, to count products, or of one that is `warm`, for its times. */
  profile?: 'first' | 'warm'
}

const PROMPT_TOKENS = 77
// Each run shall compute its prompts, as for prompts that were not seen before.
const NO_CACHES = { embeddings: 0, promptKeys: 0 }

const order = JSON.parse(process.argv[2]!) as MeasureOrder
if (order.profile) console.log(JSON.stringify(await withProfileDir((dir) => profile(order, dir))))
else await measure(order)
// Its sessions hold gigabytes that nobody needs freed one by one.
process.exit(0)

async function withProfileDir<T>(act: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'sd-bench-'))
  try {
    return await act(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function profile(order: MeasureOrder, profileDir: string): Promise<ProfileSummary> {
  const { modelDir, threads } = order
  const manifest = await readManifest(modelDir)
  const { run, model } = await prepare(order, manifest, { threads, cacheBytes: NO_CACHES, profileDir })
  await run()
  if (order.profile === 'warm') await run()
  endProfiles(model)
  return summarize(profileDir, order.profile!)
}

async function measure(order: MeasureOrder): Promise<void> {
  const { modelDir, threads, stage, batch, steps, width, height } = order
  const manifest = await readManifest(modelDir)
  let started = performance.now()
  const { run } = await prepare(order, manifest, { threads, cacheBytes: NO_CACHES })
  const loadSeconds = secondsSince(started)
  await run() // the first run touches all memory for the first time
  tell({ ready: true })
  const seconds: number[] = []
  for await (const _ of createInterface({ input: process.stdin })) {
    started = performance.now()
    await run()
    seconds.push(secondsSince(started))
    tell({ seconds: seconds.at(-1) })
  }
  const work = { stage, batch, steps, width, height }
  tell({
    engine: `ours ${manifest.plan}`,
    ...work,
    threads,
    loadSeconds,
    seconds,
    peakRssBytes: readPeakRss(),
  })
}

function secondsSince(started: number): number {
  return (performance.now() - started) / 1000
}

function tell(message: object): void {
  writeSync(3, `${JSON.stringify(message)}\n`)
}

async function summarize(dir: string, profile: 'first' | 'warm'): Promise<ProfileSummary> {
  const files = (await readdir(dir)).filter((file) => file.endsWith('.json'))
  const texts = await Promise.all(files.map((file) => readFile(join(dir, file), 'utf8')))
  return summarizeProfiles(texts.map((text) => readProfile(text, { lastRunOnly: profile === 'warm' })))
}

/** Ends the profile of every session in a model, or in a part of one. */
function endProfiles(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  if ('endProfile' in value) (value.endProfile as () => void)()
  else for (const part of Object.values(value)) endProfiles(part)
}

type Prepared = { model: Partial<Model>; run: () => Promise<unknown> }

/** Loads what the stage needs and nothing more, and gives the function that does the work once. */
async function prepare(order: MeasureOrder, manifest: Manifest, options: LoadOptions): Promise<Prepared> {
  const { modelDir, stage, batch, steps, width, height } = order
  const prompts = Array.from({ length: batch }, (_, i) => `a red fox, number ${i}`) // equal ones would be encoded once
  const seeds = prompts.map((_, i) => i)
  if (stage === 'text') {
    const model = { manifest, ...(await loadTextEncoders(modelDir, manifest, options)) }
    return { model, run: () => encodePrompts(model as Model, prompts) }
  }
  if (stage === 'unet') {
    const model = { manifest, ...(await loadDenoiser(modelDir, manifest, options)) }
    const conditioning = drawConditioning(manifest, batch)
    const settings = { seeds, width, height, steps: 1 }
    return { model, run: () => sample(model as Model, conditioning, settings) }
  }
  if (stage === 'decode') {
    const model = { manifest, ...(await loadDecoder(modelDir, manifest, options)) }
    const { latents, shape } = drawLatents(manifest, order)
    return { model, run: () => decode(model as Model, latents, shape) }
  }
  const model = await loadModel(modelDir, options)
  const inputs = prompts.map((prompt, i) => ({ prompt, seed: seeds[i]!, width, height, steps }))
  return { model, run: () => generate(model, inputs) }
}

/** Noise in the shape of encoded prompts: what it says does not change how long a step takes. */
function drawConditioning({ textEncoder, textEncoder2 }: Manifest, batch: number) {
  const width = textEncoder.hiddenSize + textEncoder2.hiddenSize
  return {
    context: drawTensor([batch, PROMPT_TOKENS, width]),
    pooled: drawTensor([batch, textEncoder2.projectionDim]),
  }
}

function drawLatents({ unet, vae }: Manifest, { batch, width, height }: Work) {
  const shape = {
    batch,
    channels: unet.latentChannels,
    height: height / vae.spatialFactor,
    width: width / vae.spatialFactor,
  }
  const { data } = drawTensor([batch, shape.channels, shape.height, shape.width])
  return { latents: data.map((value) => value * vae.scalingFactor), shape }
}

function drawTensor(dims: number[]) {
  const count = dims.reduce((a, b) => a * b, 1)
  return { data: drawNoise(createGenerator(0), count), dims }
}
