import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { findOpenWebUi } from '../../scripts/open-webui.ts'
import { type Service, startService } from '../../scripts/service.ts'
import { type OpenWebUi, type OwnFile, startOpenWebUi, type User } from './start-open-webui.ts'

const KEY = 'a-key-of-open-webui'
const PROMPT = 'a panda on a blue background'
const SIZE = '128x128'
const FIXED = { seed: 7, steps: 2 }
const AT_ONCE = 4 // pictures of one user
const DRAW_MS = 60_000
const GENERATIONS = '/api/v1/images/generations'
const EDIT = '/api/v1/images/edit'
const VERIFY = '/api/v1/images/verify'
const PNG_SIGNATURE = '89504e470d0a1a0a'

let service: Service
let openWebUi: OpenWebUi
let admin: User

beforeAll(async () => {
  const program = await findOpenWebUi(console.log)
  const sha256 = createHash('sha256').update(KEY).digest('hex')
  const keys = [{ name: 'open-webui', sha256, forwardsUsers: true, perUser: { imagesAtOnce: AT_ONCE } }]
  service = await startService({ workers: 1, env: { API_KEYS: JSON.stringify(keys) } })
  // The variables of docs/clients.md.
  openWebUi = await startOpenWebUi(program, {
    ENABLE_IMAGE_GENERATION: 'true',
    IMAGE_GENERATION_ENGINE: 'openai',
    IMAGES_OPENAI_API_BASE_URL: `${service.api}/v1`,
    IMAGES_OPENAI_API_KEY: KEY,
    IMAGES_OPENAI_PARAMS: JSON.stringify(FIXED),
    IMAGE_GENERATION_MODEL: 'demo',
    IMAGE_SIZE: SIZE,
    ENABLE_IMAGE_EDIT: 'true',
    IMAGE_EDIT_ENGINE: 'openai',
    IMAGES_EDIT_OPENAI_API_BASE_URL: `${service.api}/v1`,
    IMAGES_EDIT_OPENAI_API_KEY: KEY,
    ENABLE_FORWARD_USER_INFO_HEADERS: 'true',
  })
  admin = openWebUi.admin
  console.log(`Open WebUI ${openWebUi.version}`)
})
afterAll(async () => {
  await openWebUi?.stop()
  await service?.stop()
})

describe('with the engine OpenAI, set by variables', () => {
  it('draws what the native API draws', async () => {
    const drawn = await draw(admin, GENERATIONS, { prompt: PROMPT, n: 2 })
    expect(drawn.map(sizeOf)).toEqual([SIZE, SIZE])
    expect(drawn.map(digest)).toEqual(await drawNatively({ prompt: PROMPT, size: SIZE, n: 2, ...FIXED }))
  })

  it('draws the size that is asked for', async () => {
    const drawn = await draw(admin, GENERATIONS, { prompt: PROMPT, size: '192x128' })
    expect(drawn.map(sizeOf)).toEqual(['192x128'])
    expect(drawn.map(digest)).toEqual(await drawNatively({ prompt: PROMPT, size: '192x128', ...FIXED }))
  })

  it.each(['', 'dall-e-3', 'gpt-image-1.5'])('draws with the model "%s" of its own list', async (model) => {
    await configure({ IMAGE_GENERATION_MODEL: model })
    const drawn = await draw(admin, GENERATIONS, { prompt: PROMPT })
    expect(drawn.map(digest)).toEqual(await drawNatively({ prompt: PROMPT, size: SIZE, ...FIXED }))
  })

  it('tells that a model is not there', async () => {
    await configure({ IMAGE_GENERATION_MODEL: 'midjourney' })
    const { status, body } = await admin.post(GENERATIONS, { prompt: PROMPT })
    expect([status, body.detail]).toEqual([400, expect.stringContaining('Not Found')])
    await configure({ IMAGE_GENERATION_MODEL: 'demo' })
  })

  it('edits a picture of its own and one that is uploaded, as the native API does', async () => {
    const { body } = await admin.post(GENERATIONS, { prompt: 'a fox on a red background' })
    const file = await admin.download(body[0])
    const base64 = file.toString('base64')
    for (const [image, size] of [
      [body[0].url, SIZE],
      [[`data:image/png;base64,${base64}`], '192x128'],
    ]) {
      const [edited] = await draw(admin, EDIT, { image, size, prompt: PROMPT })
      expect(sizeOf(edited!)).toBe(size)
      // No setting fixes the seed of an edit; what it was stands in the file.
      const { seed, steps, strength } = settingsOf(edited!)
      const request = { prompt: PROMPT, size, image: base64, seed, steps, strength }
      expect([digest(edited!)]).toEqual(await drawNatively(request))
    }
  })

  it('tells that two pictures cannot be edited at once', async () => {
    const [file] = await draw(admin, GENERATIONS, { prompt: PROMPT })
    const image = `data:image/png;base64,${file!.toString('base64')}`
    const { status, body } = await admin.post(EDIT, { image: [image, image], prompt: PROMPT })
    expect([status, body.detail]).toEqual([400, expect.stringContaining('Bad Request')])
  })

  it('tells its users apart, so that each is held to the limits of one', async () => {
    const [alice, bob] = [await openWebUi.addUser('alice'), await openWebUi.addUser('bob')]
    const slow = { prompt: 'a slow picture of alice', size: '512x512', n: AT_ONCE }
    const drawing = draw(alice, GENERATIONS, slow)
    await vi.waitFor(async () => expect(await listPrompts()).toContain(slow.prompt), DRAW_MS)
    const { status, body } = await alice.post(GENERATIONS, { prompt: PROMPT })
    expect([status, body.detail]).toEqual([400, expect.stringContaining('Too Many Requests')])
    expect(await draw(bob, GENERATIONS, { prompt: PROMPT })).toHaveLength(1)
    expect(await drawing).toHaveLength(AT_ONCE)
  })
})

describe('with the engine AUTOMATIC1111, set on its page', () => {
  beforeAll(() =>
    configure({
      IMAGE_GENERATION_ENGINE: 'automatic1111',
      AUTOMATIC1111_BASE_URL: service.api,
      AUTOMATIC1111_API_AUTH: `open-webui:${KEY}`,
    }),
  )

  it('finds the service behind its address, with the key alone', async () => {
    const verify = (url: string, key: string) => admin.post(VERIFY, { engine: 'automatic1111', url, key })
    expect(await verify(`${service.api}/`, `open-webui:${KEY}`)).toEqual({ status: 200, body: true })
    expect((await verify(service.api, 'open-webui:another')).status).toBe(400)
    expect((await verify(`${service.api}/sdapi`, `open-webui:${KEY}`)).status).toBe(400)
  })

  it('lists the models', async () => {
    const { body } = await admin.get('/api/v1/images/models')
    expect(body).toEqual([{ id: 'demo', name: 'demo' }])
  })

  it('draws out of the box, at the size and with the 50 steps of a new installation', async () => {
    await configure({ IMAGE_GENERATION_MODEL: 'demo', IMAGE_SIZE: '512x512', IMAGE_STEPS: 50 })
    const [drawn] = await draw(admin, GENERATIONS, { prompt: PROMPT })
    expect(sizeOf(drawn!)).toBe('512x512')
    expect(settingsOf(drawn!).steps).toBeLessThan(50)
  })

  it('draws what the native API draws', async () => {
    await configure({ IMAGE_SIZE: SIZE, IMAGE_STEPS: 2, AUTOMATIC1111_PARAMS: { seed: 7 } })
    const drawn = await draw(admin, GENERATIONS, { prompt: PROMPT, n: 2 })
    expect(drawn.map(sizeOf)).toEqual([SIZE, SIZE])
    expect(drawn.map(digest)).toEqual(await drawNatively({ prompt: PROMPT, size: SIZE, n: 2, ...FIXED }))
  })

  it('draws with the admin’s model for a user who names another', async () => {
    const carol = await openWebUi.addUser('carol')
    const drawn = await draw(carol, GENERATIONS, { prompt: PROMPT, model: 'another' })
    expect(drawn.map(digest)).toEqual(await drawNatively({ prompt: PROMPT, size: SIZE, ...FIXED }))
  })
})

/** Saves the settings as its page does: all of them, with some changed. */
async function configure(changes: object): Promise<void> {
  const { body } = await admin.get('/api/v1/images/config')
  const saved = await admin.post('/api/v1/images/config/update', { ...body, ...changes })
  expect(saved).toMatchObject({ status: 200, body: changes })
}

/** Has Open WebUI draw, and downloads from it what it says it has drawn. */
async function draw(user: User, path: string, body: object): Promise<Buffer[]> {
  const answer = await user.post(path, body)
  expect(answer).toMatchObject({ status: 200 })
  const files: OwnFile[] = answer.body
  for (const { id, url, content_type } of files)
    expect([url, content_type]).toEqual([`/api/v1/files/${id}/content`, 'image/png'])
  return Promise.all(files.map(user.download))
}

function sizeOf(png: Buffer): string {
  expect(png.toString('hex', 0, 8)).toBe(PNG_SIGNATURE)
  return `${png.readUInt32BE(16)}x${png.readUInt32BE(20)}`
}

/** What the file says of how it was drawn. */
function settingsOf(png: Buffer): { seed: number; steps: number; strength: number } {
  const text = png.toString('latin1')
  const read = (name: string) => Number(new RegExp(`${name}: ([\\d.]+)`).exec(text)?.[1])
  return { seed: read('Seed'), steps: read('Steps'), strength: read('Denoising strength') }
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** The prompts that were asked for with the key of Open WebUI. */
async function listPrompts(): Promise<string[]> {
  const headers = { authorization: `Bearer ${KEY}` }
  const answer = await fetch(`${service.api}/api/v1/images`, { headers })
  const { requests } = (await answer.json()) as { requests: { request: { prompt: string } }[] }
  return requests.map(({ request }) => request.prompt)
}

async function drawNatively(body: object): Promise<string[]> {
  const answer = await fetch(`${service.api}/api/v1/images`, {
    ...{ method: 'POST', body: JSON.stringify(body) },
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', prefer: 'wait=60' },
  })
  expect(answer.status).toBe(200)
  const { images } = (await answer.json()) as { images: { url: string }[] }
  return Promise.all(
    images.map(async ({ url }) =>
      digest(Buffer.from(await (await fetch(new URL(url, service.api))).arrayBuffer())),
    ),
  )
}
