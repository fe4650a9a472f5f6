import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Answer, createOpenWebUi, createSillyTavern } from './a1111-clients.ts'
import { type Product, startProduct } from './product.ts'

const PNG_SIGNATURE = '89504e470d0a1a0a'
// Long enough for the demo model that something can happen meanwhile.
const SLOW = { width: 768, height: 768, steps: 8, n_iter: 4 }
const BEGUN_MS = 60_000

let product: Product
let base: string

beforeAll(async () => {
  product = await startProduct()
  base = product.baseUrl
})
afterAll(() => product?.stop())

const progress = async (headers: Record<string, string> = {}): Promise<Answer> =>
  (await fetch(`${base}/sdapi/v1/progress`, { headers })).json()
const post = async (path: string, body: object, headers: Record<string, string> = {}): Promise<Answer> =>
  (
    await fetch(`${base}${path}`, {
      ...{ method: 'POST', body: JSON.stringify(body) },
      headers: { 'content-type': 'application/json', ...headers },
    })
  ).json()

async function until(
  holds: (progress: Answer) => boolean,
  headers: Record<string, string> = {},
): Promise<void> {
  const deadline = Date.now() + BEGUN_MS
  for (;;) {
    const last = await progress(headers)
    if (holds(last)) return
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(last)} after ${BEGUN_MS} ms`)
    await sleep(50)
  }
}
const isDrawing = ({ state }: Answer) => state.sampling_step > 0
const isIdle = ({ progress, state }: Answer) => progress === 0 && state.job_count === 0

it('is taken for its engine by Open WebUI, and draws what it asks for out of the box', async () => {
  const client = createOpenWebUi(base)
  expect(await client.verifyUrl()).toBe(true)
  expect(await client.listModels()).toEqual([{ id: 'demo', name: 'demo' }])
  await client.setModel('demo')
  const { pictures, info } = await client.generate('a (panda:1.2) on a blue background', 2)
  expect(pictures.map((picture) => picture.toString('hex', 0, 8))).toEqual([PNG_SIGNATURE, PNG_SIGNATURE])
  expect(info).toMatchObject({ prompt: 'a (panda:1.2) on a blue background', width: 512, height: 512 })
  expect(info.all_seeds).toEqual([info.seed, (info.seed + 1) % 2 ** 32])
  expect(info.steps).toBeLessThan(50)
  expect(info.warnings[0]).toMatch(/^steps was 50; the model demo has use for \d+ at most/)
  pictures.forEach((picture, i) => {
    expect(picture.toString('latin1')).toContain(`parameters\0${info.infotexts[i]}`)
    expect(info.infotexts[i]).toContain(`Seed: ${info.all_seeds[i]}, Size: 512x512, Model: demo`)
  })
})

it('fills the menus of SillyTavern, and draws what it asks for out of the box', async () => {
  const client = createSillyTavern(base)
  expect(await client.ping()).toBe(true)
  expect(await client.models()).toEqual(['demo'])
  expect(await client.getModel()).toBe('demo')
  expect(await client.samplers()).toContain('Euler a')
  expect(await client.schedulers()).toContain('normal')
  expect(await client.upscalers()).toEqual(['None', 'Latent'])
  expect(await client.vaes()).toEqual([])
  expect(await client.setModel('demo')).toEqual({ looks: 1, isIdle: true })
  const { images, info } = await client.generate('a fox in snow')
  const picture = Buffer.from(images[0], 'base64')
  expect(picture.toString('hex', 0, 8)).toBe(PNG_SIGNATURE)
  const read = await post('/sdapi/v1/png-info', { image: images[0] })
  expect(read.parameters).toMatchObject({
    ...{ Prompt: 'best quality, absurdres, aesthetic, a fox in snow', Sampler: 'Euler' },
    ...{ Seed: String(JSON.parse(info).seed), 'Size-1': '512', 'Size-2': '512' },
  })
})

it('lets SillyTavern wait for a model until nothing is drawn', async () => {
  const client = createSillyTavern(base)
  const drawing = client.generate('a fox', SLOW)
  await until(isDrawing)
  const loading = client.setModel('demo')
  await sleep(1000)
  await post('/sdapi/v1/interrupt', {}) // or a busy machine would draw for longer than ten looks take
  const { images } = await drawing
  expect(images.length).toBeLessThanOrEqual(4)
  const { looks, isIdle } = await loading
  expect(looks).toBeGreaterThan(1)
  expect(isIdle).toBe(true)
})

it('cancels the request of the SillyTavern whose browser left, and lets another one’s be', async () => {
  const [alice, bob] = ['203.0.113.7', '203.0.113.8'].map((address) => ({ 'x-forwarded-for': address }))
  const browser = new AbortController()
  const left = createSillyTavern(base, alice).generate('a fox', { ...SLOW, browserLeft: browser.signal })
  await until(isDrawing, alice)
  const kept = createSillyTavern(base, bob).generate('a panda', { seed: 7 })
  await until(({ state }) => state.job_count === 1, bob)
  browser.abort()
  await expect(left).rejects.toThrow(/abort/i)
  await until(isIdle, alice)
  const { images, info } = await kept
  expect([images.length, JSON.parse(info).all_seeds]).toEqual([1, [7]])
})

it.each(['is only interrupted', 'only hangs up'])('cancels a request whose client %s', async (how) => {
  const hangUp = new AbortController()
  const answering = fetch(`${base}/sdapi/v1/txt2img`, {
    ...{ method: 'POST', signal: hangUp.signal, headers: { 'content-type': 'application/json' } },
    body: JSON.stringify({ prompt: 'a fox', ...SLOW, batch_size: 2 }),
  })
  await until(isDrawing)
  if (how === 'only hangs up') {
    hangUp.abort()
    await expect(answering).rejects.toThrow(/abort/i)
  } else {
    await post('/sdapi/v1/interrupt', {})
    const { images, info } = (await (await answering).json()) as Answer
    expect(images.length).toBeLessThan(8)
    expect(JSON.parse(info).all_seeds).toHaveLength(images.length)
  }
  await until(isIdle)
})

it('draws from a picture as far as it is told', async () => {
  const { pictures } = await createOpenWebUi(base).generate('a panda')
  const { images, info } = await post('/sdapi/v1/img2img', {
    ...{ prompt: 'a fox', init_images: [pictures[0]!.toString('base64')], denoising_strength: 0.5 },
    ...{ steps: 4, width: 256, height: 256, seed: 7, sampler_name: 'Euler', scheduler: 'Uniform' },
  })
  expect(JSON.parse(info)).toMatchObject({ denoising_strength: 0.5, steps: 4, width: 256, seed: 7 })
  expect(JSON.parse(info).infotexts[0]).toMatch(
    /Sampler: Euler, Schedule type: Uniform, .*, Denoising strength: 0.5,/,
  )
  expect(Buffer.from(images[0], 'base64').toString('hex', 0, 8)).toBe(PNG_SIGNATURE)
})

it.each(['png', 'jpeg', 'webp'])(
  'reads the settings back that a %s of the service carries, in any script',
  async (format) => {
    const request = { prompt: '一只红狐狸, naïve', seed: 7, size: '64x64', steps: 1, format }
    const { images } = await post('/api/v1/images', request, { prefer: 'wait=60' })
    const file = await (await fetch(`${base}${images[0].url}`)).arrayBuffer()
    const { info, parameters } = await post('/sdapi/v1/png-info', {
      image: Buffer.from(file).toString('base64'),
    })
    expect(info).toMatch(/^一只红狐狸, naïve\nSteps: 1, /)
    expect(parameters).toMatchObject({ Prompt: request.prompt, Seed: '7', 'Size-1': '64', 'Size-2': '64' })
  },
)

it('answers text2image with a link to the picture at the address it was asked at', async () => {
  const { output, status, generationTimeSeconds } = await post('/api/text2image', {
    ...{ prompt: 'A panda listening to music with headphones. highly detailed, 8k.', number: 1 },
  })
  expect(status).toBe('success')
  expect(generationTimeSeconds).toBeGreaterThanOrEqual(output[0].latencySeconds)
  expect(output[0].latencySeconds).toBeGreaterThan(0)
  expect(output[0].url).toMatch(new RegExp(`^http://[^/]+:${new URL(base).port}/images/[^/]+/0_0\\.png$`))
  const picture = Buffer.from(await (await fetch(output[0].url)).arrayBuffer())
  expect(picture.toString('hex', 0, 8)).toBe(PNG_SIGNATURE)
})
