import { PassThrough } from 'node:stream'
import { expect, it, onTestFinished } from 'vitest'
import { startRedisProxy } from './testing/redis-proxy.ts'
import { setUp } from './testing/set-up.ts'

type Api = Awaited<ReturnType<typeof setUp>>

async function startApi(options: Parameters<typeof setUp>[1] = {}): Promise<Api> {
  const api = await setUp(process.env, options)
  onTestFinished(() => api.close())
  return api
}

const payload = { prompt: 'a secret garden', size: '64x64', steps: 2, n: 2 }
const post = ({ app }: Api, body: object = payload) =>
  app.inject({ method: 'POST', url: '/api/v1/images', payload: body })
const metrics = async ({ app }: Api) => (await app.inject('/metrics')).body

it('tells what waits, for how long, who refuses and who cancels', async () => {
  const api = await startApi({ queueLimit: 8 })
  const { id } = (await post(api)).json()
  await api.take()
  await post(api, { ...payload, n: 8 })
  await api.app.inject(`/api/v1/images/${id}`)
  const body = await metrics(api)
  for (const line of [
    'sd_queue_images{model="demo",state="waiting"} 1',
    'sd_queue_images{model="demo",state="active"} 1',
    'sd_queue_paused{model="demo"} 0',
    'sd_workers{model="demo"} 0',
    'sd_images_requested_total{model="demo"} 2',
    'sd_http_responses_total{method="POST",route="/api/v1/images",status="429",code="queue_full"} 1',
    'sd_http_request_duration_seconds_count{method="GET",route="/api/v1/images/:id"} 1',
  ])
    expect(body).toContain(line)
  expect(body).toMatch(/^sd_queue_oldest_seconds\{model="demo"\} \d/m)
  expect(body).not.toContain(id)
  await api.app.inject({ method: 'POST', url: `/api/v1/images/${id}/cancel` })
  expect(await metrics(api)).toContain('sd_images_canceled_total{model="demo"} 2')
})

it('tells what it counted itself while Redis is away', async () => {
  const proxy = await startRedisProxy(process.env.TEST_REDIS_URL ?? '')
  onTestFinished(() => proxy.close())
  const api = await startApi({ url: proxy.url })
  proxy.cut()
  expect(await metrics(api)).toMatch(/^process_resident_memory_bytes \d+$/m)
})

it.each([
  [false, 0],
  [true, 1],
])('writes prompts to the log only when told to (%s)', async (logPrompts, times) => {
  const log = new PassThrough()
  const api = await startApi({ logPrompts, log })
  const { id } = (await post(api)).json()
  await post(api, { prompt: 'a secret garden', steps: 'a secret garden' })
  const lines = String(log.read()).trim().split('\n')
  expect(lines.filter((line) => line.includes('secret')).length).toBe(times)
  const accepted = lines.map((line) => JSON.parse(line)).find(({ msg }) => msg === 'accepted')
  expect(accepted).toMatchObject({ id, reqId: expect.any(String), n: 2 })
})
