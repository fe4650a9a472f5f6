import { A1111_DOCS } from './a1111/route-docs.ts'

/** What the OpenAPI document says of a route beyond its schemas. */
export type RouteDoc = {
  tag: string
  summary: string
  description?: string
  /** Descriptions by status. */
  responses?: Record<string, string>
  /** Media type of the body; JSON when absent. */
  consumes?: string
  /** Media types of answers that are not, or not always, JSON, by status. */
  produces?: Record<string, string[]>
}

const IMAGES = 'Images'
const SERVICE = 'Service'
const OPENAI = 'Compatible with OpenAI'

const DOCS: Record<string, RouteDoc> = {
  'POST /api/v1/images': {
    tag: IMAGES,
    summary: 'Ask for images',
    description:
      'Seed, size and steps that are left out are drawn or the model’s own, and reported. Image i is drawn from seed + i.',
    responses: { '200': 'All images have ended while the request waited', '202': 'Queued' },
  },
  'GET /api/v1/images': {
    tag: IMAGES,
    summary: 'List your requests, newest first',
    description:
      'Yours are those made with the same API key or, where there are none, the same X-Client-Token.',
  },
  'GET /api/v1/images/:id': { tag: IMAGES, summary: 'Ask how far a request is' },
  'GET /api/v1/images/:id/events': {
    tag: IMAGES,
    summary: 'Follow a request as server-sent events',
    description:
      'Events named `images` carry the whole request, those named `image` one image that changed. The stream begins with the whole request or, with Last-Event-ID, with everything since; it ends when the request has ended, with an event whose id is `end`.',
    responses: { '200': 'A stream of events', '204': 'Last-Event-ID was the end; do not come back' },
    produces: { '200': ['text/event-stream'] },
  },
  'POST /api/v1/images/:id/cancel': {
    tag: IMAGES,
    summary: 'Cancel what is not drawn yet',
    description: 'What waits is never drawn; what is drawn stops. A request that has ended is left as it is.',
  },
  'DELETE /api/v1/images/:id': {
    tag: IMAGES,
    summary: 'Cancel a request and forget it, its prompt and its images',
    responses: { '204': 'Forgotten' },
  },
  'GET /api/v1/images/:id/:index.:extension': {
    tag: IMAGES,
    summary: 'Fetch an image',
    responses: { '200': 'The image, which never changes' },
    produces: { '200': ['image/png', 'image/jpeg', 'image/webp'] },
  },
  ...A1111_DOCS,
  'POST /api/text2image': {
    tag: 'Compatible with text2image',
    summary: 'Draw images and wait for them',
    description:
      'In the shape of a service this one follows, as it is remembered. After 15 seconds the status 200 is sent, and spaces until all is drawn.',
  },
  'GET /images/:id/:file': {
    tag: 'Compatible with text2image',
    summary: 'Fetch an image of text2image',
    produces: { '200': ['image/png', 'image/jpeg', 'image/webp'] },
  },
  'POST /v1/images/generations': {
    tag: OPENAI,
    summary: 'Draw images, as OpenAI’s clients ask for them',
    description:
      'Answers when all images are drawn. After 15 seconds the status 200 is sent, and spaces until then; an error that comes later is in the body alone. With `stream` the answer is server-sent events.',
    produces: { '200': ['application/json', 'text/event-stream'] },
  },
  'POST /v1/images/edits': {
    tag: OPENAI,
    summary: 'Draw images from one, as OpenAI’s clients ask for them',
    description: 'Image to image: the whole image is drawn again, as far from it as `strength` says.',
    consumes: 'multipart/form-data',
    produces: { '200': ['application/json', 'text/event-stream'] },
  },
  'GET /v1/models': { tag: OPENAI, summary: 'List the models there are' },
  'GET /v1/models/:name': { tag: OPENAI, summary: 'Ask for a model' },
  'GET /v1/models/:owner/:name': { tag: OPENAI, summary: 'Ask for a model whose name has an owner' },
  'GET /api/v1/models': {
    tag: SERVICE,
    summary: 'List the models there are',
    description: 'With what requests are filled in with, sizes drawn well, and the licence.',
  },
  'GET /api/v1/scaling': {
    tag: SERVICE,
    summary: 'How much work there is, for autoscalers',
  },
  'GET /api/v1/system': {
    tag: SERVICE,
    summary: 'What the service runs on, and how busy it is',
  },
}

/** Nothing for what is not part of the API: probes, pages, and the HEAD that comes with each GET. */
export function routeDoc(method: string, url: string): RouteDoc | undefined {
  const known = DOCS[`${method} ${url.replaceAll(/\((?:[^()]|\([^()]*\))*\)/g, '')}`]
  if (known || method === 'HEAD' || !/^\/(api|v1|sdapi|internal|images)\//.test(url)) return known
  return { tag: 'Compatible', summary: `${method} ${url}` }
}
