import * as z from 'zod'
import { CPU_CLASSES } from './cpu-class.ts'
import { SAMPLER_NAMES } from './sampler-table.ts'
import { SchedulerConfig, TIMESTEP_SPACINGS } from './scheduler-config.ts'

/** Format of the compiled folder; a change that an older reader would misread raises it. */
export const MANIFEST_VERSION = 3

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/)

/** How far an int8 model's pictures are from the fp32 model's, the worst of the calibration prompts. */
export const Audit = z.object({
  prompts: z.int().positive(),
  /** Signal to noise of denoised latents after one step. */
  latentsDb: z.number(),
  /** Peak signal to noise of pictures. */
  oneStepDb: z.number(),
  fourStepsDb: z.number(),
  /** Milliseconds of a picture of one step where it was compiled, `oneTerm` before any layer was moved. */
  pictureMs: z.object({ fp32: z.number(), oneTerm: z.number(), int8: z.number() }),
  /** Layers that took a finer scheme than one product for the bounds to hold. */
  moved: z.int().nonnegative(),
})
export type Audit = z.infer<typeof Audit>

const TextEncoderNumbers = z.object({
  hiddenSize: z.int().positive(),
  positions: z.int().positive(),
  /** 2 is the legacy value: pool at the largest id. Otherwise at the first id equal to it. */
  eosTokenId: z.int(),
})

/** Settings a model is drawn with when nobody names others. */
export const Recommended = z.object({
  /** How it was distilled, as far as its files tell; what the other fields were taken from where they do not. */
  family: z.string(),
  steps: z.int().positive(),
  /** More steps than this are not worth their time. */
  maxSteps: z.int().positive(),
  guidance: z.number().nonnegative(),
  sampler: z.enum(SAMPLER_NAMES),
  timestepSpacing: z.enum(TIMESTEP_SPACINGS),
  /** Sizes in pixels, the one it was trained for first. */
  sizes: z.array(z.object({ width: z.int().positive(), height: z.int().positive() })).min(1),
})
export type Recommended = z.infer<typeof Recommended>

/** Under which terms the weights may be used, as far as their source says. */
export const Licence = z.object({
  /** As the hub spells it, such as `openrail++`. */
  id: z.string(),
  link: z.string().optional(),
  /** What has to be said, or known, wherever the model is offered. */
  notice: z.string().optional(),
})
export type Licence = z.infer<typeof Licence>

/** `model.json` of a compiled model: everything the runtime needs, and what the model was made from. */
export const Manifest = z.object({
  version: z.literal(MANIFEST_VERSION),
  compilerVersion: z.string(),
  name: z.string(),
  /** SHA-256 over the source's files; two equal sources give the same compiled model. */
  sourceHash: Sha256,
  sourceFiles: z.record(z.string(), Sha256),
  /** LoRA files merged into the weights, and how strongly. */
  loras: z.array(z.object({ file: z.string(), sha256: Sha256, weight: z.number() })).default([]),
  /** Where the source was downloaded from; absent for a folder. */
  source: z.object({ repository: z.string(), revision: z.string() }).optional(),
  plan: z.enum(['fp32', 'int8']),
  /** CPU that an int8 model is made for: on `avx2` and `avx512` its weights keep to 7 bits. */
  cpuClass: z.enum(CPU_CLASSES).optional(),
  /** How each layer of an int8 model computes, by part and layer. */
  layers: z.record(z.string(), z.enum(['int8-static', 'int8', 'int8x2', 'int8x3', 'fp32'])).optional(),
  /** Figures of the int8 plan; with plan fp32 they say why it was not taken. Absent where it was not audited. */
  audit: Audit.optional(),
  textEncoder: TextEncoderNumbers,
  textEncoder2: TextEncoderNumbers.extend({ projectionDim: z.int().positive() }),
  unet: z.object({
    latentChannels: z.int().positive(),
    modelChannels: z.int().positive(),
    additionTimeEmbedDim: z.int().positive(),
    flipSinToCos: z.boolean(),
    freqShift: z.number(),
    /** Latent pixels a side at the size the model was trained for. */
    sampleSize: z.int().positive(),
  }),
  vae: z.object({
    scalingFactor: z.number().positive(),
    spatialFactor: z.int().positive(),
    /** File, folder or `repository@commit` of a VAE that took the place of the source's own. */
    from: z.string().optional(),
  }),
  scheduler: SchedulerConfig,
  forceZerosForEmptyPrompt: z.boolean(),
  recommended: Recommended,
  /** Absent where the source names none. */
  licence: Licence.optional(),
  /** Graph names in running order, without `.onnx`. */
  graphs: z.object({
    textEncoder: z.string(),
    textEncoder2: z.string(),
    /** Keys and values of the cross-attentions, which depend on the prompt alone. */
    context: z.string(),
    denoiser: z.array(z.string()).min(1),
    decoder: z.array(z.string()).min(1),
    /** From a picture to latents; empty where the source had none. */
    encoder: z.array(z.string()).default([]),
  }),
  /** Every other file of the folder, relative to it. */
  files: z.record(z.string(), z.object({ bytes: z.int().nonnegative(), sha256: Sha256 })),
})
export type Manifest = z.infer<typeof Manifest>
