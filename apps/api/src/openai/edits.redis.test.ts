import { inputImageKey, MAX_INPUT_BYTES } from '@sdcpu/contract'
import sharp from 'sharp'
import { expect, it, onTestFinished, vi } from 'vitest'
import { setUp } from '../testing/set-up.ts'
import { OpenAiImages } from './openai-answer.ts'

type Api = Awaited<ReturnType<typeof setUp>>

async function startApi(): Promise<Api> {
  const api = await setUp(process.env)
  onTestFinished(() => api.close())
  return api
}

const picture = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: 'red' } })
    .png()
    .toBuffer()
const RED = await picture(400, 300)

type Field = [name: string, value: string | Buffer]

async function post({ app }: Api, fields: Field[]) {
  const form = new FormData()
  for (const [name, value] of fields) {
    if (typeof value === 'string') form.append(name, value)
    else form.append(name, new Blob([new Uint8Array(value)], { type: 'image/png' }), 'fox.png')
  }
  const { headers, body } = new Response(form)
  return app.inject({
    method: 'POST',
    url: '/v1/images/edits?api-version=1',
    headers: { 'content-type': headers.get('content-type')! },
    payload: Buffer.from(await new Response(body).arrayBuffer()),
  })
}

/** Asks for an image from another and draws it; gives the answer and the job. */
async function edit(api: Api, fields: Field[]) {
  const answering = post(api, [['prompt', 'a blue fox'], ...fields])
  const job = await vi.waitFor(() => api.take(), 10_000)
  const input = await api.redis.getBuffer(inputImageKey(api.prefix, job.data.id))
  await api.succeed(job, 'a fox')
  const answer = await answering
  expect(answer.statusCode, answer.body).toBe(200)
  return { answer: OpenAiImages.parse(answer.json()), job: job.data, input }
}

it.each(['image', 'image[]', 'image[0]'])('draws from the file %s', async (name) => {
  const { answer, job, input } = await edit(await startApi(), [[name, RED]])
  expect(input?.equals(RED)).toBe(true)
  expect(job).toMatchObject({ version: 3, prompt: 'a blue fox', strength: 0.5, steps: 2 })
  expect(Buffer.from(answer.data[0]!.b64_json!, 'base64').toString()).toBe('a fox')
})

it('reads the fields of the form as JSON would have them', async () => {
  const { job, answer } = await edit(await startApi(), [
    ...([
      ['image', RED],
      ['model', 'gpt-image-1'],
      ['n', '1'],
      ['size', '512x384'],
      ['seed', '7'],
      ['num_inference_steps', '4'],
      ['strength', '0.75'],
      ['guidance_scale', '1.5'],
      ['negative_prompt', 'rain'],
      ['output_format', 'webp'],
      ['response_format', 'b64_json'],
      ['background', 'auto'],
      ['input_fidelity', 'high'],
      ['quality', ''],
      ['stream', 'false'],
    ] satisfies Field[]),
  ])
  expect(job).toMatchObject({
    ...{ width: 512, height: 384, seed: 7, steps: 4, strength: 0.75, guidance: 1.5 },
    ...{ negativePrompt: 'rain', format: 'webp' },
  })
  expect(answer).toMatchObject({ size: '512x384', output_format: 'webp' })
})

it('draws in the shape of the image, at about the pixels of the model’s own size, where no size is asked for', async () => {
  const api = await startApi()
  expect((await edit(api, [['image', RED]])).answer.size).toBe('296x224')
  const portrait = await edit(api, [
    ['image', await picture(300, 400)],
    ['size', 'auto'],
  ])
  expect(portrait.answer.size).toBe('224x296')
})

it('draws as many steps as it takes for one to be drawn, where no steps are asked for', async () => {
  const api = await startApi()
  const weak = await edit(api, [
    ['image', RED],
    ['strength', '0.3'],
  ])
  expect(weak.job).toMatchObject({ strength: 0.3, steps: 4 })
})

it('streams under its own names of events', async () => {
  const api = await startApi()
  const answering = post(api, [
    ['prompt', 'a blue fox'],
    ['image', RED],
    ['stream', 'true'],
    ['partial_images', '1'],
  ])
  const job = await vi.waitFor(() => api.take(), 10_000)
  await api.show(job, 1, 'so far')
  await api.succeed(job, 'a fox')
  const { body } = await answering
  const events = [...body.matchAll(/^event: (.*)$/gm)].map(([, name]) => name)
  expect(events).toEqual(['image_edit.partial_image', 'image_edit.completed'])
})

it.each<[string, Field[], string, string | null]>([
  ['no image', [], 'image is missing; send one PNG, JPEG or WebP file', 'image'],
  ['text for an image', [['image', 'fox.png']], 'image is missing', 'image'],
  [
    'two images',
    [
      ['image[]', RED],
      ['image[]', RED],
    ],
    'there is more than one image; the limit is 1',
    'image',
  ],
  [
    'a mask',
    [
      ['image', RED],
      ['mask', RED],
    ],
    'mask is not supported: the whole image is drawn again. Leave it out',
    'mask',
  ],
  ['what is no picture', [['image', Buffer.from('hello')]], 'image is not a PNG, JPEG or WebP file', null],
  [
    'a number that is none',
    [
      ['image', RED],
      ['n', 'two'],
    ],
    'n is "two"; it must be a whole number',
    'n',
  ],
  [
    'too few steps',
    [
      ['image', RED],
      ['steps', '1'],
    ],
    'strength 0.5 x 1 steps is 0.5; it must be 1 or more, or nothing is drawn',
    null,
  ],
])('refuses %s', async (_what, fields, message, param) => {
  const answer = await post(await startApi(), [['prompt', 'a blue fox'], ...fields])
  expect(answer.statusCode).toBe(400)
  expect(answer.json().error).toMatchObject({ message: expect.stringContaining(message), param })
})

it('refuses an image that is too large with the number, and what is no form', async () => {
  const api = await startApi()
  const large = await post(api, [
    ['prompt', 'a blue fox'],
    ['image', Buffer.alloc(MAX_INPUT_BYTES + 1)],
  ])
  expect([large.statusCode, large.json().error.message]).toEqual([413, 'image is larger than 8388608 bytes'])
  const json = await api.app.inject({ method: 'POST', url: '/v1/images/edits', payload: { prompt: 'x' } })
  expect([json.statusCode, json.json().error.message]).toEqual([415, 'the body must be multipart/form-data'])
})

it.each([
  ['without a boundary', 'multipart/form-data', ''],
  [
    'that is cut off',
    'multipart/form-data; boundary=x',
    '--x\r\ncontent-disposition: form-data; name="n"\r\n\r\n1',
  ],
])('refuses a form %s', async (_what, type, payload) => {
  const { app } = await startApi()
  const headers = { 'content-type': type }
  const answer = await app.inject({ method: 'POST', url: '/v1/images/edits', headers, payload })
  expect([answer.statusCode, answer.json().error]).toMatchObject([
    400,
    { type: 'invalid_request_error', message: expect.stringContaining('the form cannot be read: ') },
  ])
})

it('refuses a form of more fields than anybody sends', async () => {
  const fields = Array.from({ length: 51 }, (_, i): Field => [`field${i}`, 'x'])
  const answer = await post(await startApi(), fields)
  expect([answer.statusCode, answer.json().error.message]).toEqual([
    413,
    'the form has more than 17 files or 50 other fields',
  ])
})
