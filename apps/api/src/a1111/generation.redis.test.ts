import { expect, it, onTestFinished, vi } from 'vitest'
import { pictureWithText } from '../testing/picture-with-text.ts'
import { setUp } from '../testing/set-up.ts'

type Api = Awaited<ReturnType<typeof setUp>>

async function startApi(options: Parameters<typeof setUp>[1] = {}): Promise<Api> {
  const api = await setUp(process.env, options)
  onTestFinished(() => api.close())
  return api
}

const send = ({ app }: Api, payload: object, job = 'txt2img') =>
  app.inject({ method: 'POST', url: `/sdapi/v1/${job}`, payload })
const waiting = (api: Api, model?: string) =>
  vi.waitFor(() => api.take(model), { timeout: 10_000, interval: 20 })
const TEXT =
  'a red fox\nSteps: 2, Sampler: Euler a, CFG scale: 1, Seed: 7, Size: 64x64, Model: demo, Version: v'
const PICTURE = await pictureWithText(TEXT)

/** Sends a request, draws all its images, and gives the jobs and the answer. */
async function generate(api: Api, payload: object, { job = 'txt2img', model = 'demo', n = 1 } = {}) {
  const answering = send(api, payload, job)
  const jobs = []
  for (let i = 0; i < n; i++) {
    const taken = await waiting(api, model)
    await api.succeed(taken, PICTURE)
    jobs.push(taken.data)
  }
  const answer = await answering
  expect([answer.statusCode, answer.body]).toEqual([200, expect.any(String)])
  const { images, parameters, info } = answer.json()
  return { jobs, images, parameters, info: JSON.parse(info) }
}

const size = { width: 64, height: 64 }

it('answers with every key clients read: PNGs in base64, the request, and info as JSON in a text', async () => {
  const api = await startApi()
  const { images, parameters, info } = await generate(api, {
    prompt: 'a red fox',
    seed: 7,
    ...size,
    url: 'x',
  })
  expect(images).toEqual([PICTURE.toString('base64')])
  expect(parameters).toMatchObject({ prompt: 'a red fox', seed: 7, width: 64 })
  expect(parameters).not.toHaveProperty('url')
  expect(info).toEqual({
    ...{ prompt: 'a red fox', all_prompts: ['a red fox'], negative_prompt: '', all_negative_prompts: [''] },
    ...{ seed: 7, all_seeds: [7], subseed: -1, all_subseeds: [-1], subseed_strength: 0, ...size },
    ...{ sampler_name: 'Euler a', cfg_scale: 1, steps: 2, batch_size: 1, restore_faces: false },
    ...{ face_restoration_model: null, sd_model_name: 'demo', sd_model_hash: null, sd_vae_name: null },
    ...{ sd_vae_hash: null, seed_resize_from_w: -1, seed_resize_from_h: -1, denoising_strength: null },
    ...{ extra_generation_params: { 'Schedule type': 'Automatic' }, index_of_first_image: 0 },
    ...{ infotexts: [TEXT], styles: [], job_timestamp: expect.stringMatching(/^20\d{12}$/), clip_skip: 1 },
    ...{ is_using_inpainting_conditioning: false, version: 'v', warnings: [] },
  })
})

it('draws batch_size x n_iter images with seeds counted up, and a seed of its own for -1', async () => {
  const api = await startApi()
  const payload = { prompt: 'x', ...size, batch_size: 2, n_iter: 2 }
  const { jobs, images, info } = await generate(api, { ...payload, seed: 4294967294 }, { n: 4 })
  expect(jobs.map(({ seed }) => seed)).toEqual([4294967294, 4294967295, 0, 1])
  expect([images.length, info.all_seeds, info.batch_size]).toEqual([4, [4294967294, 4294967295, 0, 1], 2])
  const { info: own } = await generate(api, { prompt: 'x', ...size, seed: -1 })
  expect(own.seed).toBeGreaterThanOrEqual(0)
  expect(own.all_seeds).toEqual([own.seed])
})

it('weighs words in brackets, and passes the negative prompt', async () => {
  const api = await startApi()
  const { jobs, info } = await generate(api, { prompt: 'a (fox:1.2)', negative_prompt: 'blurry', ...size })
  expect(jobs[0]).toMatchObject({ prompt: 'a (fox:1.2)', negativePrompt: 'blurry', emphasis: true })
  expect(info).toMatchObject({ negative_prompt: 'blurry', warnings: ['without effect'] })
})

it("draws what Open WebUI and SillyTavern send unasked with the model's own settings, and says so", async () => {
  const api = await startApi()
  const sent = { steps: 50, cfg_scale: 7, width: 512, height: 512, sampler_name: 'DDIM', scheduler: 'normal' }
  const { jobs, info } = await generate(api, { prompt: 'x', ...sent })
  expect(jobs[0]).toMatchObject({ steps: 2, guidance: 1, sampler: 'euler', width: 512, height: 512 })
  expect(info).toMatchObject({ steps: 2, cfg_scale: 1, sampler_name: 'Euler', width: 512 })
  expect(info.warnings).toEqual([
    'steps was 50; the model demo has use for 8 at most, and its own 2 are drawn',
    'cfg_scale was 7; the model demo has use for 2 at most, and its own 1 is drawn with',
  ])
})

it('draws from the first of init_images as far as denoising_strength says', async () => {
  const api = await startApi()
  const payload = {
    prompt: 'x',
    init_images: [PICTURE.toString('base64')],
    denoising_strength: 0.5,
    steps: 4,
  }
  const { jobs, info, parameters } = await generate(api, { ...payload, ...size }, { job: 'img2img' })
  expect(jobs[0]).toMatchObject({ strength: 0.5, steps: 4 })
  expect(info).toMatchObject({ denoising_strength: 0.5, steps: 4 })
  expect(parameters).toMatchObject({ init_images: null, mask: null })
  const kept = await generate(api, { ...payload, ...size, include_init_images: true }, { job: 'img2img' })
  expect(kept.parameters.init_images).toEqual(payload.init_images)
})

it('takes as many steps as one of them needs to be drawn, and 0.75 where no strength is given', async () => {
  const api = await startApi()
  const payload = { prompt: 'x', init_images: [PICTURE.toString('base64')], ...size }
  const { jobs, info } = await generate(api, { ...payload, denoising_strength: 0.2 }, { job: 'img2img' })
  expect(jobs[0]).toMatchObject({ strength: 0.2, steps: 5 })
  expect(info.warnings).toEqual(['steps was 2; denoising_strength 0.2 leaves none of them, and 5 are taken'])
  const { jobs: own } = await generate(api, payload, { job: 'img2img' })
  expect(own[0]).toMatchObject({ strength: 0.75 })
})

it('accepts what has no effect here, and names it does not know', async () => {
  const api = await startApi()
  const ignored = {
    ...{ styles: ['cinematic'], subseed: 3, subseed_strength: 0, eta: 0, s_churn: 0, s_noise: 1, s_tmin: 0 },
    ...{
      s_tmax: null,
      s_min_uncond: 0,
      do_not_save_grid: true,
      do_not_save_samples: true,
      save_images: true,
    },
    ...{ script_args: [], script_name: '', alwayson_scripts: {}, comments: {}, refiner_switch_at: 0.8 },
    ...{ disable_extra_networks: false, override_settings_restore_afterwards: true, clip_skip: 2 },
    ...{ enable_hr: false, hr_scale: 2, hr_upscaler: 'Latent', hr_second_pass_steps: 0, hr_resize_x: 0 },
    ...{ hr_resize_y: 0, firstphase_width: 0, firstphase_height: 0, denoising_strength: 0.7, tiling: false },
    ...{ seed_resize_from_w: -1, seed_resize_from_h: -1, refiner_checkpoint: null, unheard_of: { a: 1 } },
    override_settings: { CLIP_stop_at_last_layers: 2, sd_vae: 'Automatic', samples_format: 'png' },
  }
  const { jobs } = await generate(api, { prompt: 'x', ...size, seed: 1, ...ignored })
  const { jobs: plain } = await generate(api, { prompt: 'x', ...size, seed: 1 })
  const drawn = ({ id: _, requestId: __, ...rest }: { id: string; requestId?: string }) => rest
  expect(drawn(jobs[0]!)).toEqual(drawn(plain[0]!))
})

it('accepts what is for a mask, without one', async () => {
  const api = await startApi()
  const payload = { prompt: 'x', init_images: [PICTURE.toString('base64')], ...size, seed: 1, resize_mode: 1 }
  const ignored = {
    ...{ mask: null, mask_blur: 4, mask_blur_x: 4, mask_blur_y: 4, mask_round: true, inpainting_fill: 1 },
    ...{ inpaint_full_res: true, inpaint_full_res_padding: 32, inpainting_mask_invert: 0 },
    ...{ initial_noise_multiplier: 1, image_cfg_scale: 1.5 },
  }
  const { jobs } = await generate(api, { ...payload, ...ignored }, { job: 'img2img' })
  const { jobs: plain } = await generate(api, payload, { job: 'img2img' })
  const drawn = ({ id: _, requestId: __, ...rest }: { id: string; requestId?: string }) => rest
  expect(drawn(jobs[0]!)).toEqual(drawn(plain[0]!))
})

it('draws without a face restorer, and says so', async () => {
  const api = await startApi()
  const { info } = await generate(api, { prompt: 'x', ...size, restore_faces: true })
  expect(info).toMatchObject({ restore_faces: false })
  expect(info.warnings).toEqual(['restore_faces has no effect: there is no restorer'])
})

it('reads numbers from text, as FastAPI does, and null as nothing', async () => {
  const api = await startApi()
  const { jobs } = await generate(api, {
    ...{ prompt: 'x', negative_prompt: null, steps: '4', cfg_scale: '1.5', seed: '9', ...size },
    ...{ scheduler: null, sampler_index: null, batch_size: null, override_settings: null },
  })
  expect(jobs[0]).toMatchObject({ steps: 4, guidance: 1.5, seed: 9 })
})

it('leaves the images out with send_images false', async () => {
  const api = await startApi()
  const { images, info } = await generate(api, { prompt: 'x', ...size, send_images: false })
  expect([images, info.all_seeds.length]).toEqual([[], 1])
})

it('draws with the model that override_settings names', async () => {
  const api = await startApi()
  await api.announce({ name: 'other/model' })
  const settings = { sd_model_checkpoint: 'other/model' }
  const { info } = await generate(
    api,
    { prompt: 'x', ...size, override_settings: settings },
    { model: 'other/model' },
  )
  expect(info.sd_model_name).toBe('other/model')
})

const PNG = PICTURE.toString('base64')
const REFUSED: [object, number, string | RegExp, string?][] = [
  [{ prompt: '' }, 422, 'prompt is empty; say what to draw'],
  [{ prompt: 7 }, 422, 'prompt must be a string'],
  [{ steps: 'many' }, 422, 'steps must be a number'],
  [{ steps: 2.5 }, 422, 'steps is 2.5; it must be a whole number'],
  [{ width: 0 }, 422, 'width is 0; it must be 1 or more'],
  [
    { batch_size: 3, n_iter: 4 },
    422,
    'batch_size 3 x n_iter 4 is 12 images; it must be a whole number from 1 to 8',
  ],
  [
    { sampler_name: 'UniPC' },
    422,
    'there is no sampler "UniPC"; there are Euler a, Euler, DPM++ 2M, DPM++ SDE, LCM, TCD',
  ],
  [
    { scheduler: 'Beta' },
    422,
    /^there is no scheduler "Beta"; there are Automatic, Normal, Karras, Uniform,/,
  ],
  [
    { sampler_name: 'LCM', scheduler: 'Karras' },
    422,
    'the sampler LCM has no schedule Karras; it has Automatic, Normal',
  ],
  [{ enable_hr: true }, 422, 'enable_hr is true; there is no second pass, ask for the size you want'],
  [{ tiling: true }, 422, 'tiling is true; there are no seamless images'],
  [{ subseed_strength: 0.3 }, 422, 'subseed_strength is 0.3; there are no variations, it must be 0'],
  [{ seed_resize_from_w: 512 }, 422, /^seed_resize_from_w is 512;/],
  [{ script_name: 'X/Y/Z plot' }, 422, "Script 'X/Y/Z plot' not found: there are no scripts"],
  [
    { alwayson_scripts: { ADetailer: {} } },
    422,
    'always on script ADetailer not found: there are no scripts',
  ],
  [{ refiner_checkpoint: 'sd_xl_refiner' }, 422, 'refiner_checkpoint is set; there is no refiner'],
  [{ infotext: 'Steps: 3' }, 422, 'infotext is set; send the settings themselves'],
  [{ prompt: 'a <lora:fox:1>' }, 422, /^the prompt names the lora "fox"; there are none to load/],
  [
    { override_settings: { sd_vae: 'vae-ft-mse' } },
    422,
    'there is no VAE "vae-ft-mse"; demo has its own, "Automatic"',
  ],
  [{ override_settings: { sd_model_checkpoint: 'v1-5' } }, 404, 'there is no model "v1-5"; there are demo'],
  [{ mask: PNG, init_images: [PNG] }, 422, 'mask is set; there is no inpainting', 'img2img'],
  [{}, 422, 'init_images has 0 images; it must have one', 'img2img'],
  [{ init_images: [PNG, PNG] }, 422, 'init_images has 2 images; it must have one', 'img2img'],
  [
    { init_images: [PNG], resize_mode: 2 },
    422,
    'resize_mode is 2; images are cut to the size, it must be 0 or 1',
    'img2img',
  ],
  [{ init_images: [PNG], denoising_strength: 0 }, 422, 'strength is 0; it must be above 0', 'img2img'],
  [{ init_images: ['https://example.com/a.png'] }, 422, /^image is not base64/, 'img2img'],
]
it.each(REFUSED.map(([change, status, message, job]) => ({ change, status, message, job })))(
  "answers $status in AUTOMATIC1111's shape where $message, and draws nothing",
  async ({ change, status, message, job }) => {
    const api = await startApi()
    const answer = await send(api, { prompt: 'x', ...size, ...change }, job)
    expect(answer.statusCode).toBe(status)
    const { error, detail, body, errors } = answer.json()
    expect({ error, body }).toEqual({ error: 'HTTPException', body: '' })
    expect(detail).toMatch(message)
    expect(errors).toBe(detail)
    expect(answer.headers['x-request-id']).toBeDefined()
    await expect(api.take()).rejects.toThrow('no job waits')
  },
)

it('tells of a failed image by an error, and of the others where there are some', async () => {
  const api = await startApi()
  const failing = send(api, { prompt: 'x', ...size })
  for (let attempt = 0; attempt < 2; attempt++) await api.fail(await waiting(api), 'generation_failed')
  const answer = await failing
  expect([answer.statusCode, answer.json().error]).toEqual([500, 'HTTPException'])
  expect(answer.json().detail).toMatch(/^The image could not be drawn/)

  const half = send(api, { prompt: 'x', ...size, seed: 3, batch_size: 2 })
  await api.succeed(await waiting(api), PICTURE)
  for (let attempt = 0; attempt < 2; attempt++) await api.fail(await waiting(api), 'generation_failed')
  const { images, info } = (await half).json()
  expect([images.length, JSON.parse(info).all_seeds]).toEqual([1, [3]])
})
