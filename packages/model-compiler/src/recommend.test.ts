import { SchedulerConfig } from '@sdcpu/diffusion'
import { describe, expect, it } from 'vitest'
import { type Facts, recommend } from './recommend.ts'

const scheduler = (fields: object) => SchedulerConfig.parse({ beta_schedule: 'scaled_linear', ...fields })
const TURBO = scheduler({ _class_name: 'EulerAncestralDiscreteScheduler', timestep_spacing: 'trailing' })
const BASE = scheduler({ _class_name: 'EulerDiscreteScheduler', timestep_spacing: 'leading' })

const facts = (changes: Partial<Facts> = {}): Facts => ({
  names: ['fox'],
  loras: [],
  scheduler: TURBO,
  nativeSize: 512,
  inferred: { scheduler: false, size: false },
  card: {},
  ...changes,
})
const singleFile = { inferred: { scheduler: true, size: true } }

describe('recommend', () => {
  it.each<[string, Partial<Facts>, object]>([
    ['SDXL-Turbo', { names: ['stabilityai/sdxl-turbo'] }, { family: 'turbo', steps: 4, guidance: 1 }],
    [
      'SDXL-Turbo’s single file',
      { names: ['sd_xl_turbo_1.0_fp16'], ...singleFile },
      { family: 'turbo', sampler: 'euler_a', sizes: [{ width: 512, height: 512 }] },
    ],
    [
      'a Turbo model tuned further, in a single file',
      { names: ['DreamShaperXL_Turbo_dpmppSdeKarras_half_pruned_6'], ...singleFile },
      {
        ...{ family: 'turbo-guided', steps: 6, guidance: 2, sampler: 'dpmpp_sde_karras' },
        sizes: [{ width: 1024, height: 1024 }],
      },
    ],
    [
      'Lightning, by the steps in its name',
      { names: ['sdxl_lightning_8step'], ...singleFile },
      { family: 'lightning', steps: 8, sampler: 'euler', timestepSpacing: 'trailing' },
    ],
    [
      'a Lightning folder that carries SDXL’s scheduler along',
      { names: ['acme/foxLightningXL'], scheduler: BASE },
      { family: 'lightning', sampler: 'euler', timestepSpacing: 'trailing' },
    ],
    [
      'Hyper-SD',
      { names: ['Hyper-SDXL-4steps'], ...singleFile },
      { family: 'hyper', steps: 4, sampler: 'tcd' },
    ],
    [
      'LCM, by its scheduler',
      { scheduler: scheduler({ _class_name: 'LCMScheduler' }) },
      { family: 'lcm', sampler: 'lcm' },
    ],
    [
      'plain SDXL, by its scheduler',
      { scheduler: BASE, nativeSize: 1024 },
      { family: 'sdxl', steps: 30, maxSteps: 50, guidance: 5, sampler: 'euler', timestepSpacing: 'leading' },
    ],
    ['a file that says nothing', singleFile, { family: 'turbo', sampler: 'euler_a' }],
    ['a title that says more than the name', { names: ['fox', 'Fox LCM v2'] }, { family: 'lcm' }],
    ['a hyperrealistic model', { names: ['hyperrealisticXL'] }, { family: 'turbo' }],
    [
      'SDXL with an LCM LoRA',
      { scheduler: BASE, loras: ['lcm-lora-sdxl'] },
      { family: 'lcm', sampler: 'lcm' },
    ],
    [
      'a LoRA of style',
      { scheduler: BASE, loras: ['pixel-art-xl_base'] },
      { family: 'sdxl', sampler: 'euler', timestepSpacing: 'leading' },
    ],
  ])('draws %s well', (_what, given, expected) => {
    const { sizes, ...found } = recommend(facts(given))
    expect({ ...found, sizes: sizes.slice(0, 1) }).toMatchObject(expected)
  })

  it('keeps to a source’s own scheduler where it is no leftover', () => {
    const own = scheduler({ _class_name: 'DPMSolverMultistepScheduler', use_karras_sigmas: true })
    expect(recommend(facts({ names: ['dreamshaper-xl-turbo'], scheduler: own }))).toMatchObject({
      ...{ family: 'turbo-guided', sampler: 'dpmpp_2m_karras', timestepSpacing: 'linspace' },
    })
  })

  it('takes steps and guidance from the model card, and allows as many steps', () => {
    expect(recommend(facts({ card: { steps: 20, guidance: 2.5 } }))).toMatchObject({
      ...{ steps: 20, guidance: 2.5, maxSteps: 20 },
    })
  })

  it('recommends nothing that the service would refuse', () => {
    expect(recommend(facts({ card: { steps: 100, guidance: 40 } }))).toMatchObject({
      ...{ steps: 50, guidance: 30, maxSteps: 50 },
    })
  })

  it('writes 1 for no guidance, where a card says 0', () => {
    expect(recommend(facts({ card: { guidance: 0 } })).guidance).toBe(1)
  })

  it('offers three quarters of the native size, lying and standing, but none below 64', () => {
    const sizes = (nativeSize: number) =>
      recommend(facts({ nativeSize })).sizes.map(({ width, height }) => `${width}x${height}`)
    expect(sizes(1024)).toEqual(['1024x1024', '1024x768', '768x1024'])
    expect(sizes(64)).toEqual(['64x64'])
  })
})
