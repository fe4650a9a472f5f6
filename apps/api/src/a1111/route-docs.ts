import type { RouteDoc } from '../route-docs.ts'

const TAG = 'Compatible with AUTOMATIC1111'
const doc = (summary: string, description?: string): RouteDoc => ({
  tag: TAG,
  summary,
  ...(description !== undefined && { description }),
})

const WAITS =
  'Answers when all images have ended. After 15 seconds the status 200 is sent, and spaces until then; an error that comes later is in the body alone. Waits up to 5 minutes for room in the queue. Whoever hangs up cancels it.'

/** What the OpenAPI document says of AUTOMATIC1111's routes. */
export const A1111_DOCS: Record<string, RouteDoc> = {
  'POST /sdapi/v1/txt2img': doc('Draw images from text', WAITS),
  'POST /sdapi/v1/img2img': doc('Draw images from one', WAITS),
  'GET /sdapi/v1/progress': doc('Ask how far your requests are'),
  'POST /sdapi/v1/interrupt': doc('Stop your requests; they answer with what is drawn'),
  'POST /sdapi/v1/skip': doc('Stop what is drawn of your requests at the moment'),
  'GET /sdapi/v1/options': doc('Ask for the options, the model among them'),
  'POST /sdapi/v1/options': doc(
    'Choose the model of your requests',
    'Other options are accepted and left as they are.',
  ),
  'GET /sdapi/v1/sd-models': doc('List the models'),
  'GET /sdapi/v1/samplers': doc("List the samplers, the model's own first"),
  'GET /sdapi/v1/schedulers': doc('List the schedulers'),
  'GET /sdapi/v1/upscalers': doc('List the upscalers: none'),
  'GET /sdapi/v1/latent-upscale-modes': doc('List the ways to upscale latents'),
  'GET /sdapi/v1/sd-vae': doc('List other VAEs: none'),
  'GET /sdapi/v1/sd-modules': doc('List other modules: none'),
  'GET /sdapi/v1/loras': doc('List LoRA files: none'),
  'GET /sdapi/v1/embeddings': doc('List embeddings: none'),
  'GET /sdapi/v1/cmd-flags': doc('Ask for what the service would be started with'),
  'GET /sdapi/v1/memory': doc("Ask for the API's memory"),
  'POST /sdapi/v1/png-info': doc('Read the settings that a picture carries'),
  'GET /internal/progress': doc('Ask how far one task is'),
  'POST /internal/progress': doc('Ask how far one task is'),
  'GET /internal/pendingTasks': doc('List your tasks that are not begun'),
}
