import { createHash } from 'node:crypto'
import sharp from 'sharp'
import { expect, it, onTestFinished, vi } from 'vitest'
import { pictureWithText } from '../testing/picture-with-text.ts'
import { setUp } from '../testing/set-up.ts'

type Api = Awaited<ReturnType<typeof setUp>>
type Headers = Record<string, string>

async function startApi(options: Parameters<typeof setUp>[1] = {}): Promise<Api> {
  const api = await setUp(process.env, options)
  onTestFinished(() => api.close())
  return api
}

const get = ({ app }: Api, name: string, headers: Headers = {}) =>
  app.inject({ url: `/sdapi/v1/${name}`, headers })
const post = ({ app }: Api, name: string, payload: object, headers: Headers = {}) =>
  app.inject({ method: 'POST', url: `/sdapi/v1/${name}`, payload, headers })
const chosen = async (api: Api, headers: Headers = {}) =>
  (await get(api, 'options', headers)).json().sd_model_checkpoint

it('lists models with the titles that clients choose by', async () => {
  const api = await startApi()
  await api.announce({ name: 'other/model' })
  expect((await get(api, 'sd-models')).json()).toEqual(
    ['demo', 'other/model'].map((name) => ({
      ...{ title: name, model_name: name, hash: null, sha256: null, filename: name, config: null },
    })),
  )
})

it("lists samplers, the model's own first, with the schedule each is drawn with", async () => {
  const api = await startApi({ isAnnounced: false })
  await api.announce({ defaultSampler: 'dpmpp_sde_karras' })
  const samplers = (await get(api, 'samplers')).json()
  expect(samplers.map(({ name }: { name: string }) => name)).toEqual([
    ...['DPM++ SDE', 'Euler a', 'Euler', 'DPM++ 2M', 'LCM', 'TCD'],
  ])
  expect(samplers[0]).toEqual({
    name: 'DPM++ SDE',
    aliases: ['k_dpmpp_sde'],
    options: { scheduler: 'karras' },
  })
  expect(samplers[2]).toEqual({ name: 'Euler', aliases: ['k_euler', 'DDIM'], options: {} })
})

it.each([
  ['upscalers', [{ name: 'None', model_name: null, model_path: null, model_url: null, scale: 4 }]],
  ['latent-upscale-modes', [{ name: 'Latent' }]],
  ['sd-vae', []],
  ['sd-modules', []],
  ['loras', []],
  ['embeddings', { loaded: {}, skipped: {} }],
  ['cmd-flags', { api: true, listen: true, use_cpu: ['all'], skip_torch_cuda_test: true }],
])('answers %s with what there is', async (name, body) => {
  const answer = await get(await startApi(), name)
  expect([answer.statusCode, answer.json()]).toEqual([200, body])
})

it('lists schedulers by name and label, Automatic first', async () => {
  const schedulers = (await get(await startApi(), 'schedulers')).json()
  expect(schedulers.map(({ name }: { name: string }) => name)).toEqual([
    ...['automatic', 'normal', 'karras', 'uniform', 'sgm_uniform', 'simple', 'ddim'],
  ])
  expect(schedulers[2]).toEqual({
    ...{ name: 'karras', label: 'Karras', aliases: [], default_rho: 7, need_inner_model: false },
  })
  expect(schedulers[4]).toMatchObject({ label: 'SGM Uniform', aliases: ['SGMUniform'] })
})

it("tells the API's own memory, and that there is no GPU", async () => {
  const { ram, cuda } = (await get(await startApi(), 'memory')).json()
  expect(ram.used).toBeGreaterThan(1e7)
  expect(ram.free + ram.used).toBe(ram.total)
  expect(cuda).toEqual({ error: 'unavailable' })
})

it('has options that SillyTavern does not take for those of Forge', async () => {
  const options = (await get(await startApi(), 'options')).json()
  expect(options).toMatchObject({
    ...{
      sd_model_checkpoint: 'demo',
      samples_format: 'png',
      sd_vae: 'Automatic',
      CLIP_stop_at_last_layers: 1,
    },
  })
  expect(options).not.toHaveProperty('forge_preset')
})

it('remembers the model a caller chooses, for its requests and nobody else’s', async () => {
  const api = await startApi()
  await api.announce({ name: 'other/model' })
  const [alice, bob] = ['alice', 'bob'].map((name) => ({ 'x-client-token': `the-token-of-${name}` }))
  const whole = (await get(api, 'options', alice)).json()
  const set = await post(api, 'options', { ...whole, sd_model_checkpoint: 'other/model' }, alice)
  expect([set.statusCode, set.body]).toEqual([200, 'null'])
  expect([await chosen(api, alice), await chosen(api, bob)]).toEqual(['other/model', 'demo'])
  const answering = post(api, 'txt2img', { prompt: 'x', width: 64, height: 64 }, alice)
  const job = await vi.waitFor(() => api.take('other/model'), { timeout: 10_000, interval: 20 })
  await api.succeed(job, await pictureWithText('x'))
  expect(JSON.parse((await answering).json().info).sd_model_name).toBe('other/model')
})

it('remembers no choice where there is none, and forgets one whose model is gone', async () => {
  const api = await startApi()
  expect((await post(api, 'options', { sd_model_checkpoint: 'demo [31e35c80fc]' })).statusCode).toBe(200)
  expect(await api.redis.keys(`${api.prefix.replaceAll(/[{}]/g, '\\$&')}:a1111-model:*`)).toEqual([])
  await api.announce({ name: 'other' })
  expect((await post(api, 'options', { sd_model_checkpoint: 'other.safetensors' })).statusCode).toBe(200)
  expect(await chosen(api)).toBe('other')
  await api.redis.srem(`${api.prefix}:model-names`, 'other')
  expect(await chosen(api)).toBe('demo')
})

it.each([{}, { sd_vae: 'Automatic', unknown: 1 }, { sd_model_checkpoint: null }])(
  'accepts the options %j and changes nothing',
  async (options) => {
    const api = await startApi()
    expect((await post(api, 'options', options)).statusCode).toBe(200)
    expect(await chosen(api)).toBe('demo')
  },
)

it('refuses to choose a model there is not, with those there are', async () => {
  const answer = await post(await startApi(), 'options', { sd_model_checkpoint: 'v1-5-pruned' })
  const message = 'there is no model "v1-5-pruned"; there are demo'
  expect([answer.statusCode, answer.json()]).toEqual([
    404,
    { error: 'HTTPException', detail: message, body: '', errors: message },
  ])
})

it.each(['Basic ', 'Basic Og==', '', 'Bearer anything'])(
  'answers whoever sends the header %j where nobody needs a key',
  async (authorization) => {
    expect((await get(await startApi(), 'options', { authorization })).statusCode).toBe(200)
  },
)

it('asks for a key as HTTP Basic in the shape of its errors, for all of it', async () => {
  const sha256 = createHash('sha256').update('secret').digest('hex')
  const api = await startApi({ apiKeys: [{ name: 'alice', sha256 }] })
  for (const url of ['/sdapi/v1/options', '/sdapi/v1/progress', '/internal/pendingTasks']) {
    const { statusCode, headers, ...answer } = await api.app.inject({
      url,
      headers: { authorization: 'Basic ' },
    })
    expect([url, statusCode, answer.json()]).toEqual([
      ...[url, 401],
      expect.objectContaining({
        error: 'HTTPException',
        body: '',
        detail: expect.stringMatching(/needs an API key/),
      }),
    ])
    expect(String(headers['www-authenticate'])).toMatch(/^Basic /)
  }
  expect((await get(api, 'options', { 'x-api-key': 'secret' })).statusCode).toBe(200)
})

const TEXT =
  'a red fox, in snow\nNegative prompt: blurry\nSteps: 4, Sampler: DPM++ 2M Karras, CFG scale: 2, Seed: 7, Size: 64x96, Model: "a, b", Version: v'
const PARAMETERS = {
  ...{ Prompt: 'a red fox, in snow', 'Negative prompt': 'blurry', Steps: '4', Sampler: 'DPM++ 2M Karras' },
  ...{ 'CFG scale': '2', Seed: '7', 'Size-1': '64', 'Size-2': '96', Model: 'a, b', Version: 'v' },
}
const withComment = async (UserComment: string, format: 'jpeg' | 'webp') =>
  sharp(await pictureWithText(''))
    .withExif({ IFD2: { UserComment } })
    .toFormat(format)
    .toBuffer()

it.each([
  ['a PNG', () => pictureWithText(TEXT)],
  ['a JPEG', () => withComment(TEXT, 'jpeg')],
  ['a WebP file', () => withComment(TEXT, 'webp')],
])('reads the settings back that %s carries', async (_, make) => {
  const api = await startApi()
  const image = (await make()).toString('base64')
  for (const sent of [image, `data:image/png;base64,${image}`]) {
    const answer = await post(api, 'png-info', { image: sent })
    expect(answer.json()).toEqual({ info: TEXT, items: { parameters: TEXT }, parameters: PARAMETERS })
  }
})

it('reads the accents of a PNG whose text is Latin-1', async () => {
  const image = (await pictureWithText('naïve')).toString('base64')
  const answer = await post(await startApi(), 'png-info', { image })
  expect(answer.json()).toMatchObject({ info: 'naïve', items: { parameters: 'naïve' } })
})

it('tells nothing of a picture without settings, and refuses what is no picture', async () => {
  const api = await startApi()
  const plain = await sharp(await pictureWithText('x'))
    .jpeg()
    .toBuffer()
  const answer = await post(api, 'png-info', { image: plain.toString('base64') })
  expect(answer.json()).toEqual({ info: '', items: {}, parameters: {} })
  const refused = await post(api, 'png-info', { image: Buffer.from('hello').toString('base64') })
  expect([refused.statusCode, refused.json().detail]).toEqual([422, 'image is not a PNG, JPEG or WebP file'])
})
