import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildPage } from '../../scripts/build-page.ts'
import { createChildren } from '../../scripts/child-processes.ts'
import { findRedis } from '../../scripts/redis.ts'
import { type Manifest, type Pod, pods, RELEASE, render } from './render.ts'
import { awaitProbe, type Container, createMachine, passes } from './wiring.ts'

const run = promisify(execFile)
const START_MS = 600_000
// Slow enough for the demo model that SIGTERM falls into the drawing, and large enough to take several segments.
const SLOW = { prompt: 'a panda on a blue background', seed: 7, size: '640x640', steps: 8 }

const children = createChildren()
let dir: string
let machine: ReturnType<typeof createMachine>
let objects: Manifest[]
const running: Record<string, Container> = {}

// The chart's own objects, run as processes: see wiring.ts.
describe('the default installation', () => {
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sdcpu-wiring-'))
    await buildPage({ children, log: console.error })
    await findRedis(console.error)
    objects = await render({ set: { 'worker.longestBatchSeconds': 600 } })
    machine = createMachine({ objects, dir, children })
    for (const component of ['redis', 'api', 'web']) {
      const pod = podOf(component)
      running[component] = await machine.start(pod, pod.spec.containers[0])
    }
  }, START_MS)

  afterAll(async () => {
    await children.stopAll()
    await rm(dir, { recursive: true, force: true })
  }, START_MS)

  it(
    'passes the start, liveness and readiness probes of redis, api and web',
    async () => {
      for (const component of ['redis', 'api', 'web']) {
        const container = running[component]!
        await awaitProbe(container.spec.startupProbe, container)
        await awaitProbe(container.spec.livenessProbe, container)
        if (component !== 'redis') await awaitProbe(container.spec.readinessProbe, container)
      }
    },
    START_MS,
  )

  it('asks redis for its password, and its probe knows it', async () => {
    const { spec, portOf, env } = running.redis!
    const [shell, option, script] = spec.readinessProbe.exec.command
    expect(script).toContain('-p 6379')
    const local = script.replace('-p 6379', `-p ${portOf('redis')}`)
    const ask = (auth: string | undefined) =>
      run(shell, [option, local], { env: { PATH: process.env.PATH, ...(auth && { REDISCLI_AUTH: auth }) } })
    await expect(ask(env.REDISCLI_AUTH)).resolves.toBeDefined()
    await expect(ask(undefined)).rejects.toThrow()
    await expect(ask('another')).rejects.toThrow()
  })

  it(
    'prepares the model before the worker starts, and not a second time',
    async () => {
      const first = await prepare()
      expect(first).toMatch(/Compiling/)
      const second = await prepare()
      expect(second).not.toMatch(/Compiling/)
      expect(second).toMatch(/demo is ready in/)
    },
    START_MS,
  )

  it(
    'has a worker that is alive while it loads, and ready when it can draw',
    async () => {
      const pod = podOf('worker')
      const worker = await machine.start(pod, pod.spec.containers[0])
      running.worker = worker
      await awaitProbe({ ...worker.spec.livenessProbe, failureThreshold: 12 }, worker)
      expect(await passes(worker.spec.readinessProbe, worker)).toBe(false)
      await awaitProbe(worker.spec.startupProbe, worker)
      expect(await passes(worker.spec.readinessProbe, worker)).toBe(true)
    },
    START_MS,
  )

  it(
    'passes its own helm test, by the API and by the page',
    async () => {
      const pod = podOf('test')
      const test = await machine.start(pod, pod.spec.containers[0])
      expect(await test.child.ended, test.child.lastLines().join('\n')).toBe('code 0')
      expect(test.child.lastLines()).toEqual([
        expect.stringMatching(/^http:\S+: a picture of 256x256, \d{4,} bytes$/),
        expect.stringMatching(/^http:\S+: a picture of 256x256, \d{4,} bytes$/),
      ])
    },
    START_MS,
  )

  it(
    'finishes the picture in hand when a worker is told to stop, within its grace',
    async () => {
      const images = `http://127.0.0.1:${await machine.addressOf(`${RELEASE}-webui`, 5001)}/api/v1/images`
      const answer = await fetch(images, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(SLOW),
      })
      const { id } = (await answer.json()) as { id: string }
      const status = async () =>
        (await (await fetch(`${images}/${id}`)).json()) as { status: string; images: { step?: number }[] }
      while (((await status()).images[0]?.step ?? 0) < 1) await sleep(50)
      expect((await status()).status).toBe('running')

      const { child } = running.worker!
      const graceMs = podOf('worker').spec.terminationGracePeriodSeconds * 1000
      const toldAt = Date.now()
      process.kill(child.pid, 'SIGTERM')
      expect(await child.ended).toBe('code 0')
      expect(Date.now() - toldAt).toBeLessThan(graceMs)
      expect((await status()).status).toBe('succeeded')
      expect((await fetch(`${images}/${id}/0.png`)).headers.get('content-type')).toBe('image/png')
    },
    START_MS,
  )

  it(
    'fails its helm test while no worker draws',
    async () => {
      const pod = podOf('test')
      const [container] = structuredClone(pod.spec.containers)
      container.env.find(({ name }: Manifest) => name === 'TIMEOUT_SECONDS').value = '1'
      const test = await machine.start(pod, container)
      expect(await test.child.ended).toBe('code 1')
      expect(test.child.lastLines().join('\n')).toMatch(/is still queued after 1000 ms/)
    },
    START_MS,
  )
})

function podOf(component: string): Pod {
  return pods(objects).find((pod) => pod.component === component)!
}

async function prepare(): Promise<string> {
  const pod = podOf('worker')
  const { child } = await machine.start(pod, pod.spec.initContainers[0])
  const end = await child.ended
  const lines = child.lastLines().join('\n')
  expect(end, lines).toBe('code 0')
  return lines
}
