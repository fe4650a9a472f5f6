import { ImagesResource, ModelsList } from '@sdcpu/contract'
import { expect, it, onTestFinished, vi } from 'vitest'
import { setUp } from './testing/set-up.ts'

type Api = Awaited<ReturnType<typeof setUp>>

const LIGHTNING = {
  ...{ name: 'acme/lightning', family: 'lightning', nativeSize: 1024, sizes: ['1024x1024', '1024x768'] },
  ...{ defaultSteps: 4, maxSteps: 12, defaultGuidance: 1.5, defaultSampler: 'euler' as const },
  licence: { id: 'openrail++', link: 'https://example.org/licence', notice: 'Some uses are forbidden.' },
}

async function startApi(options: Parameters<typeof setUp>[1] = {}): Promise<Api> {
  const api = await setUp(process.env, options)
  onTestFinished(() => api.close())
  return api
}

const post = ({ app }: Api, payload: object) =>
  app.inject({ method: 'POST', url: '/api/v1/images', payload: { prompt: 'a red fox', ...payload } })

const list = async ({ app }: Api) =>
  ModelsList.parse((await app.inject({ method: 'GET', url: '/api/v1/models' })).json()).models

it('lists the models that workers have announced, with what they draw by and under which licence', async () => {
  const api = await startApi()
  await api.announce(LIGHTNING, { isAlive: false })
  expect(await list(api)).toEqual([
    {
      ...LIGHTNING,
      ...{
        plan: 'fp32',
        timestepSpacing: 'trailing',
        drawsFromImage: true,
        isDefault: false,
        status: 'away',
      },
    },
    {
      ...{ name: 'demo', plan: 'fp32', family: 'turbo', nativeSize: 256, sizes: ['256x256'] },
      ...{ defaultSteps: 2, maxSteps: 8, defaultGuidance: 1, defaultSampler: 'euler_a' },
      ...{ timestepSpacing: 'trailing', drawsFromImage: true, isDefault: true, status: 'ready' },
    },
  ])
})

it('lists nothing before a worker has announced its model', async () => {
  expect(await list(await startApi({ isAnnounced: false }))).toEqual([])
})

it('routes a request to the queue of the model it names, and finds it there', async () => {
  const api = await startApi()
  await api.announce(LIGHTNING)
  const created = await post(api, { model: 'acme/lightning', seed: 7 })
  expect(created.statusCode).toBe(202)
  const { id, request } = ImagesResource.parse(created.json())
  expect(request).toMatchObject({
    ...{ model: 'acme/lightning', size: '1024x1024', steps: 4, guidance: 1.5, sampler: 'euler' },
  })
  await expect(api.take('demo')).rejects.toThrow('no job waits')
  const job = await api.take('acme/lightning')
  expect(job.data).toMatchObject({ steps: 4, guidance: 1.5, sampler: 'euler', width: 1024, height: 1024 })
  await api.succeed(job)
  const found = await api.app.inject({ method: 'GET', url: `/api/v1/images/${id}` })
  expect(found.json()).toMatchObject({ status: 'succeeded' })
})

it('draws a model that is larger than the limit at the limit', async () => {
  const api = await startApi()
  await api.announce({ nativeSize: 1536 })
  expect((await post(api, {})).json()).toMatchObject({ request: { size: '1024x1024' } })
})

it('answers a request for an unknown model with 404 and the names there are', async () => {
  const api = await startApi()
  await api.announce(LIGHTNING)
  const answer = await post(api, { model: 'acme/thunder' })
  expect(answer.statusCode).toBe(404)
  expect(answer.json()).toMatchObject({
    error: {
      code: 'model_not_found',
      message: 'there is no model "acme/thunder"; there are acme/lightning, demo',
    },
  })
})

it('takes a request for a model whose worker is away', async () => {
  const api = await startApi()
  await api.announce(LIGHTNING, { isAlive: false })
  expect((await post(api, { model: 'acme/lightning' })).statusCode).toBe(202)
})

it('waits for the default model rather than draw with another', async () => {
  const api = await startApi({ isAnnounced: false })
  await api.announce(LIGHTNING)
  expect((await post(api, {})).statusCode).toBe(503)
  expect((await post(api, { model: 'demo' })).statusCode).toBe(503)
})

it('draws with a model that is ready where no default is set', async () => {
  const api = await startApi({ isAnnounced: false, model: null })
  await api.announce(LIGHTNING, { isAlive: false })
  await api.announce()
  expect((await post(api, {})).json()).toMatchObject({ request: { model: 'demo' } })
})

it('draws with a model from the moment it is announced, although it has just looked which there are', async () => {
  const api = await startApi()
  expect((await post(api, {})).statusCode).toBe(202)
  expect((await post(api, { model: 'acme/lightning' })).statusCode).toBe(404)
  await api.announce(LIGHTNING)
  expect((await post(api, { model: 'acme/lightning' })).statusCode).toBe(202)
})

it('hears within a second of a model that draws otherwise since', async () => {
  const api = await startApi()
  expect((await post(api, {})).json()).toMatchObject({ request: { steps: 2 } })
  await api.announce({ defaultSteps: 3 })
  await vi.waitFor(async () => expect((await post(api, {})).json()).toMatchObject({ request: { steps: 3 } }))
})

it('overlooks an announcement that says too little, as of an older worker', async () => {
  const api = await startApi()
  await api.announce({ name: 'old', defaultSampler: undefined })
  expect((await list(api)).map(({ name }) => name)).toEqual(['demo'])
})

it('holds steps against the limit of the model', async () => {
  const api = await startApi()
  const answer = await post(api, { steps: 20 })
  expect(answer.statusCode).toBe(400)
  expect(answer.json()).toMatchObject({
    error: { code: 'invalid_request', message: 'steps is 20; the limit of the model demo is 8' },
  })
})

it('queues and reports every setting, and passes on what had no effect', async () => {
  const api = await startApi()
  const settings = { guidance: 2.5, negativePrompt: 'blurry', emphasis: true, timestepSpacing: 'linspace' }
  const created = await post(api, { ...settings, sampler: 'DPM++ 2M Karras', steps: 3 })
  expect(created.json()).toMatchObject({ request: { ...settings, sampler: 'dpmpp_2m_karras', steps: 3 } })
  const job = await api.take()
  expect(job.data).toMatchObject({ version: 2, ...settings, sampler: 'dpmpp_2m_karras', steps: 3 })
  await api.succeed(job)
  const found = await api.app.inject({ method: 'GET', url: `/api/v1/images/${created.json().id}` })
  expect(found.json().images[0]).toMatchObject({
    ...{ promptTokens: 3, promptChunks: 1, warnings: ['without effect'] },
  })
})
