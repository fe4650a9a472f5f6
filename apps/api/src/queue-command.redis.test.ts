import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { setUp } from './testing/set-up.ts'

const run = promisify(execFile)

it('stops and starts the drawing of a model, while requests are still taken', async () => {
  const api = await setUp(process.env)
  onTestFinished(() => api.close())
  const command = async (...args: string[]) => {
    const env = { ...process.env, REDIS_URL: process.env.TEST_REDIS_URL, REDIS_PREFIX: api.prefix }
    return (await run(process.execPath, [join(import.meta.dirname, 'queue-command.ts'), ...args], { env }))
      .stdout
  }
  const payload = { prompt: 'a fox', size: '64x64', steps: 1 }
  const create = async () => (await api.app.inject({ method: 'POST', url: '/api/v1/images', payload })).json()

  expect(await command('pause', 'demo')).toBe('demo: paused, 0 images waiting, 0 held by workers\n')
  const { id } = await create()
  await expect(api.take()).rejects.toThrow('no job waits')
  const { models } = (await api.app.inject('/api/v1/system')).json()
  expect(models[0].queue).toMatchObject({ isPaused: true, waiting: 1 })
  expect((await api.app.inject('/api/v1/scaling')).json().backlog).toBe(0)
  expect(await command('resume', 'demo')).toBe('demo: running, 1 images waiting, 0 held by workers\n')
  expect((await api.app.inject('/api/v1/scaling')).json()).toEqual({
    backlog: 1,
    models: [{ name: 'demo', backlog: 1, workers: 0 }],
  })
  expect((await api.take()).data.id).toBe(id)
  await expect(command('stop', 'demo')).rejects.toThrow('Usage')
}, 180_000) // five processes are started
