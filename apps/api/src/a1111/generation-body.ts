import { z } from 'zod'

/** AUTOMATIC1111's own are some twenty characters. */
export const MAX_TASK_CHARACTERS = 200

const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)\s*$/

// FastAPI, which AUTOMATIC1111 is made with, reads numbers from text as well, and some clients send them so.
const number = (name: string) =>
  z
    .union([z.number(), z.string().regex(NUMBER, { error: `${name} must be a number` })], {
      error: `${name} must be a number`,
    })
    .nullish()
    .transform((value) => (value === null || value === undefined ? undefined : Number(value)))
const text = (name: string) =>
  z
    .string({ error: `${name} must be a string` })
    .nullish()
    .transform((value) => value ?? undefined)
const flag = (name: string) =>
  z
    .boolean({ error: `${name} must be true or false` })
    .nullish()
    .transform((value) => value ?? false)
const entries = (name: string) =>
  z
    .record(z.string(), z.unknown(), { error: `${name} must be an object` })
    .nullish()
    .transform((value) => value ?? {})

const ignored = z.unknown().optional().describe('Accepted, and without effect')
const allIgnored = <Name extends string>(...names: Name[]) =>
  Object.fromEntries(names.map((name) => [name, ignored])) as Record<Name, typeof ignored>

const object = { error: 'the body must be a JSON object' }

const SHARED = {
  prompt: text('prompt').describe('What to draw; brackets weigh words, as in `(word:1.2)`'),
  negative_prompt: text('negative_prompt').describe(
    'What not to show; without effect where there is no guidance',
  ),
  seed: number('seed').describe('Of image 0; image i has seed + i. Drawn when absent or below 0'),
  sampler_name: text('sampler_name').describe("One of `samplers`; the model's own when absent"),
  sampler_index: text('sampler_index').describe('The same by its older name'),
  scheduler: text('scheduler').describe("One of `schedulers`; the sampler's own when absent"),
  batch_size: number('batch_size').describe('1 when absent; `batch_size` x `n_iter` images are drawn'),
  n_iter: number('n_iter').describe('1 when absent'),
  steps: number('steps').describe("The model's own when absent, 0, or more than the model can use"),
  cfg_scale: number('cfg_scale').describe("The model's own when absent, or more than the model can use"),
  width: number('width').describe("Pixels, brought to what can be drawn; the model's own when absent"),
  height: number('height').describe('As `width`'),
  denoising_strength: number('denoising_strength').describe('How far from the image to go; 0.75 when absent'),
  override_settings: entries('override_settings').describe(
    '`sd_model_checkpoint` chooses the model; `sd_vae` must be its own',
  ),
  send_images: z
    .boolean({ error: 'send_images must be true or false' })
    .nullish()
    .transform((value) => value ?? true)
    .describe('Whether `images` is filled; true when absent'),
  force_task_id: z
    .string({ error: 'force_task_id must be a string' })
    .max(MAX_TASK_CHARACTERS, { error: `force_task_id is longer than ${MAX_TASK_CHARACTERS} characters` })
    .nullish()
    .transform((value) => value ?? undefined)
    .describe('What this request is called by `/sdapi/v1/progress` and `/internal/progress`'),
  subseed_strength: number('subseed_strength').describe('There are no variations: must be 0'),
  seed_resize_from_w: number('seed_resize_from_w').describe('Must not be above 0'),
  seed_resize_from_h: number('seed_resize_from_h').describe('Must not be above 0'),
  tiling: flag('tiling').describe('There are no seamless images: must be false'),
  script_name: text('script_name').describe('There are no scripts: must be empty'),
  alwayson_scripts: entries('alwayson_scripts').describe('There are no scripts: must be empty'),
  refiner_checkpoint: text('refiner_checkpoint').describe('There is no refiner: must be empty'),
  infotext: text('infotext').describe('Must be empty: send the settings themselves'),
  restore_faces: flag('restore_faces').describe('There is no restorer, so no face is changed'),
  ...allIgnored(
    ...['styles', 'subseed', 'eta', 's_churn', 's_min_uncond', 's_noise', 's_tmax', 's_tmin'],
    ...['comments', 'do_not_save_grid', 'do_not_save_samples', 'save_images', 'script_args'],
    ...['refiner_switch_at', 'disable_extra_networks', 'override_settings_restore_afterwards', 'clip_skip'],
  ),
}

/** The body of `POST /sdapi/v1/txt2img`. Names it does not know are dropped. */
export const Txt2ImgBody = z
  .object(
    {
      ...SHARED,
      enable_hr: flag('enable_hr').describe('There is no second pass: must be false'),
      ...allIgnored(
        ...['hr_scale', 'hr_upscaler', 'hr_second_pass_steps', 'hr_resize_x', 'hr_resize_y'],
        ...['hr_prompt', 'hr_negative_prompt', 'hr_sampler_name', 'hr_scheduler', 'hr_checkpoint_name'],
        ...['firstphase_width', 'firstphase_height'],
      ),
    },
    object,
  )
  .meta({ id: 'Txt2ImgBody' })
export type Txt2ImgBody = z.infer<typeof Txt2ImgBody>

/** The body of `POST /sdapi/v1/img2img`. Names it does not know are dropped. */
export const Img2ImgBody = z
  .object(
    {
      ...SHARED,
      init_images: z
        .array(z.string({ error: 'init_images must hold base64' }), { error: 'init_images must be a list' })
        .nullish()
        .transform((value) => value ?? [])
        .describe('One image: base64 of a PNG, JPEG or WebP file, or a data URL of it'),
      resize_mode: number('resize_mode').describe(
        '0 and 1: cut around its middle to the shape of the size; 2 and 3 are refused',
      ),
      include_init_images: flag('include_init_images').describe('Whether `parameters` repeats `init_images`'),
      mask: z.unknown().optional().describe('There is no inpainting: must be absent'),
      ...allIgnored(
        ...['mask_blur', 'mask_blur_x', 'mask_blur_y', 'mask_round', 'inpainting_fill', 'inpaint_full_res'],
        ...['inpaint_full_res_padding', 'inpainting_mask_invert', 'initial_noise_multiplier'],
        ...['image_cfg_scale'],
      ),
    },
    object,
  )
  .meta({ id: 'Img2ImgBody' })
export type Img2ImgBody = z.infer<typeof Img2ImgBody>
