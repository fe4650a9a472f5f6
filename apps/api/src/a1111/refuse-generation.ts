import type { Model } from '@sdcpu/contract'
import { ApiError } from '../api-error.ts'
import type { Img2ImgBody, Txt2ImgBody } from './generation-body.ts'

const NETWORK = /<(lora|lyco|hypernet):([^<>:]{1,100})/i
const OWN_VAE = new Set(['', 'automatic', 'none'])

/**
 * Refuses what asks for another kind of picture than can be drawn: to ignore it would pass one off for the other.
 * @throws `invalid_request` that says what there is instead
 */
export function refuseWhatWouldCheat(body: Txt2ImgBody | Img2ImgBody, model: Model): void {
  const fault = findFault(body) ?? ('init_images' in body ? findImageFault(body) : findHiresFault(body))
  if (fault) throw new ApiError('invalid_request', fault)
  const { sd_vae: vae } = body.override_settings
  if (typeof vae === 'string' && !OWN_VAE.has(vae.toLowerCase()))
    throw new ApiError(
      'invalid_request',
      `there is no VAE "${vae.slice(0, 40)}"; ${model.name} has its own, "Automatic"`,
    )
}

function findFault(body: Txt2ImgBody | Img2ImgBody): string | undefined {
  const [script] = Object.keys(body.alwayson_scripts)
  const [, kind, network] = NETWORK.exec(`${body.prompt} ${body.negative_prompt}`) ?? []
  if (network)
    return `the prompt names the ${kind} "${network}"; there are none to load, they are merged when a model is compiled`
  if (body.script_name) return `Script '${body.script_name.slice(0, 40)}' not found: there are no scripts`
  if (script !== undefined) return `always on script ${script.slice(0, 40)} not found: there are no scripts`
  if (body.subseed_strength)
    return `subseed_strength is ${body.subseed_strength}; there are no variations, it must be 0`
  for (const name of ['seed_resize_from_w', 'seed_resize_from_h'] as const)
    if ((body[name] ?? 0) > 0)
      return `${name} is ${body[name]}; a seed is not resized, it must not be above 0`
  if (body.tiling) return 'tiling is true; there are no seamless images'
  if (body.refiner_checkpoint) return 'refiner_checkpoint is set; there is no refiner'
  if (body.infotext) return 'infotext is set; send the settings themselves'
  return undefined
}

function findHiresFault({ enable_hr }: Txt2ImgBody): string | undefined {
  return enable_hr ? 'enable_hr is true; there is no second pass, ask for the size you want' : undefined
}

function findImageFault({ init_images, mask, resize_mode = 0 }: Img2ImgBody): string | undefined {
  if (mask !== undefined && mask !== null && mask !== '') return 'mask is set; there is no inpainting'
  if (init_images.length !== 1) return `init_images has ${init_images.length} images; it must have one`
  if (resize_mode !== 0 && resize_mode !== 1)
    return `resize_mode is ${resize_mode}; images are cut to the size, it must be 0 or 1`
  return undefined
}
