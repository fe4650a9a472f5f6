import { expect, it, onTestFinished } from 'vitest'
import { setUp } from '../testing/set-up.ts'

async function startApi() {
  const api = await setUp(process.env)
  onTestFinished(() => api.close())
  return api
}

it('lists the models that workers have announced', async () => {
  const { app, announce } = await startApi()
  await announce({ name: 'stabilityai/sdxl-turbo' })
  const answer = await app.inject('/v1/models')
  expect([answer.statusCode, answer.json()]).toEqual([
    200,
    {
      object: 'list',
      data: [
        { id: 'demo', object: 'model', created: 0, owned_by: 'local' },
        { id: 'stabilityai/sdxl-turbo', object: 'model', created: 0, owned_by: 'stabilityai' },
      ],
    },
  ])
})

it.each(['/v1/models/stabilityai%2Fsdxl-turbo', '/v1/models/stabilityai/sdxl-turbo'])(
  'finds a model at %s',
  async (url) => {
    const { app, announce } = await startApi()
    await announce({ name: 'stabilityai/sdxl-turbo' })
    expect((await app.inject(url)).json()).toMatchObject({ id: 'stabilityai/sdxl-turbo', object: 'model' })
  },
)

it('knows no other model', async () => {
  const answer = await (await startApi()).app.inject('/v1/models/dall-e-3')
  expect([answer.statusCode, answer.json().error]).toEqual([
    404,
    {
      ...{ type: 'invalid_request_error', param: 'model', code: 'model_not_found' },
      message: 'there is no model "dall-e-3"; there are demo',
    },
  ])
})
