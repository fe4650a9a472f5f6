// Runs the three images beside a Redis and has them draw; `docker/verify.sh` has built them.
//   node docker/verify/main.ts WORK_DIR API_IMAGE WORKER_IMAGE WEB_IMAGE
// Needs root, buildah and redis-server. The picture it drew is left in WORK_DIR.
import { ok } from 'node:assert/strict'
import { chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../scripts/ports.ts'
import { startRedis } from '../../scripts/redis.ts'
import { type Container, startContainer } from './container.ts'
import { checkFiles, printSizes } from './files.ts'
import { type Image, openImage } from './image.ts'

const READY_MS = 300_000
const PNG = '89504e470d0a1a0a'
const RED_FOX = { prompt: 'a red fox on a blue background', size: '256x256', seed: 7 }

type Part = 'api' | 'worker' | 'web'

const [workDir, ...names] = process.argv.slice(2)
if (!workDir || names.length !== 3)
  throw new Error('usage: main.ts WORK_DIR API_IMAGE WORKER_IMAGE WEB_IMAGE')

const images = Object.fromEntries(
  (['api', 'worker', 'web'] as const).map((part, i) => [part, openImage(names[i]!)]),
) as Record<Part, Image>
const redis = await startRedis({ log: console.log })
const running: Container[] = []
try {
  for (const part of ['api', 'worker', 'web'] as const) checkFiles(part, images[part])
  await drawThroughAllParts()
  await finishThePictureBeforeEnding()
  await endWhileStarting()
  printSizes(names)
} catch (error) {
  for (const container of running) console.error(container.output().slice(-2000))
  throw error
} finally {
  for (const container of running) await container.kill('SIGKILL').catch(() => {}) // most have ended
  await redis.stop()
  for (const image of Object.values(images)) image.remove()
}

async function drawThroughAllParts(): Promise<void> {
  const parts = await startParts(makeVolume('models'))
  const { id, picture } = await draw(parts.webUrl, RED_FOX)
  writeFileSync(join(workDir!, 'picture.png'), picture)
  claim(
    `draws a picture of ${picture.readUInt32BE(16)}x${picture.readUInt32BE(20)} through web, api and worker (${id})`,
  )
  for (const part of ['api', 'worker', 'web'] as const) await checkConfinement(part, parts[part])
  // It says so where it cannot, as here, where there are no certificates and no home.
  ok(!parts.worker.output().includes('telemetry'), 'ONNX Runtime tried to report to its makers')
  claim('worker reports nothing to the makers of ONNX Runtime')
  await checkHealthchecks(parts)
  for (const part of ['web', 'api', 'worker'] as const) await endsBySigterm(part, parts[part])
}

type Parts = Record<Part, Container> & { webUrl: string; env: Record<string, string> }

/** Starts all three and waits until they can draw. */
async function startParts(volume: string): Promise<Parts> {
  const [api, web, worker] = await Promise.all([freePort(), freePort(), freePort()])
  const env = {
    REDIS_URL: redis.url,
    API_PORT: String(api),
    API_URL: `http://127.0.0.1:${api}`,
    WEB_PORT: String(web),
    WORKER_PORT: String(worker),
    SHUTDOWN_GRACE_SECONDS: '300', // a busy machine is slow, not wrong
  }
  const startedAt = Date.now()
  const parts = {
    worker: start('worker', { env, volume }),
    api: start('api', { env }),
    web: start('web', { env }),
  }
  for (const [part, port] of [
    ['api', api],
    ['web', web],
    ['worker', worker],
  ] as const) {
    await waitUntilReady(parts[part], port)
    claim(`${part} is ready ${((Date.now() - startedAt) / 1000).toFixed(1)} s after its start`)
  }
  return { ...parts, webUrl: `http://127.0.0.1:${web}`, env }
}

function start(part: Part, options: Parameters<typeof startContainer>[1]): Container {
  const container = startContainer(images[part], options)
  running.push(container)
  return container
}

async function waitUntilReady(container: Container, port: number): Promise<void> {
  const deadline = Date.now() + READY_MS
  while (!(await isReady(port))) {
    const ended = await Promise.race([container.ended, sleep(200)])
    ok(ended === undefined, `ended with ${ended}`)
    ok(Date.now() < deadline, `not ready after ${READY_MS} ms`)
  }
}

async function isReady(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/readyz`).then(
    (answer) => answer.ok,
    () => false, // not listening yet
  )
}

/** The kernel's own word on who the process is and what it may. */
async function checkConfinement(part: Part, container: Container): Promise<void> {
  const status = readFileSync(`/proc/${await container.pid()}/status`, 'utf8')
  const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)![1]!.split(/\s+/)
  const [uid] = images[part].user.split(':')
  ok(
    field('Uid').every((id) => id === uid),
    `${part} runs as ${field('Uid')}`,
  )
  ok(field('NSpid').at(-1) === '1', `${part} is process ${field('NSpid')}`)
  ok(/^0+$/.test(field('CapEff')[0]!), `${part} has capabilities ${field('CapEff')}`)
  const writing = start(part, {
    command: ['node', '-e', "require('node:fs').writeFileSync('/app/x', '')"],
    env: {},
  })
  ok((await writing.ended) !== 0 && writing.output().includes('EROFS'), `${part} could write to its image`)
  claim(
    `${part} runs as user ${uid}, process 1, without capabilities, on a read-only root; peak ${field('VmHWM').join(' ')}`,
  )
}

async function draw(webUrl: string, body: object): Promise<{ id: string; picture: Buffer }> {
  const id = await ask(webUrl, body)
  while (true) {
    const status = await readStatus(webUrl, id)
    if (status === 'succeeded') break
    ok(['queued', 'running'].includes(status), `the picture is ${status}`)
    await sleep(100)
  }
  return { id, picture: await readPicture(webUrl, id) }
}

async function ask(url: string, body: object): Promise<string> {
  const answer = await fetch(`${url}/api/v1/images`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const text = await answer.text()
  ok(answer.status === 202, `${answer.status} ${text}`)
  return JSON.parse(text).id
}

async function readStatus(url: string, id: string): Promise<string> {
  const answer = await fetch(`${url}/api/v1/images/${id}`)
  return ((await answer.json()) as { status: string }).status
}

async function readPicture(url: string, id: string): Promise<Buffer> {
  const answer = await fetch(`${url}/api/v1/images/${id}/0.png`)
  const bytes = Buffer.from(await answer.arrayBuffer())
  ok(answer.ok && bytes.toString('hex', 0, 8) === PNG, `the picture answers ${answer.status} and is no PNG`)
  return bytes
}

/** The images' own health checks, which must also be able to fail. */
async function checkHealthchecks({ env }: Parts): Promise<void> {
  const nowhere = String(await freePort())
  for (const part of ['api', 'worker', 'web'] as const) {
    const command = images[part].healthcheck
    const well = start(part, { command, env })
    ok((await well.ended) === 0, `${part}'s health check fails: ${well.output()}`)
    const astray = start(part, {
      command,
      env: { API_PORT: nowhere, WORKER_PORT: nowhere, WEB_PORT: nowhere },
    })
    ok((await astray.ended) === 1, `${part}'s health check passes where nobody listens`)
    claim(`${part}'s health check passes, and fails where nobody listens`)
  }
}

async function endsBySigterm(part: Part, container: Container): Promise<void> {
  const startedAt = Date.now()
  await container.kill('SIGTERM')
  const ended = await Promise.race([container.ended, sleep(60_000, 'nothing for 60 s')])
  ok(ended === 0, `${part} ends with ${ended} after SIGTERM`)
  claim(`${part} ends with 0 in ${Date.now() - startedAt} ms after SIGTERM`)
}

async function finishThePictureBeforeEnding(): Promise<void> {
  const parts = await startParts(makeVolume('models', { keep: true }))
  const id = await ask(parts.webUrl, { ...RED_FOX, size: '512x512', steps: 8 })
  while ((await readStatus(parts.webUrl, id)) !== 'running') await sleep(50)
  const startedAt = Date.now()
  await parts.worker.kill('SIGTERM')
  const statusThen = await readStatus(parts.webUrl, id)
  ok(statusThen === 'running', `the picture is ${statusThen} at SIGTERM, so nothing can be seen of a drain`)
  ok((await parts.worker.ended) === 0, 'the worker fails at SIGTERM')
  await readPicture(parts.webUrl, id)
  claim(`worker finishes its picture in ${Date.now() - startedAt} ms after SIGTERM, then ends with 0`)
  for (const part of ['web', 'api'] as const) await endsBySigterm(part, parts[part])
}

/** Process 1 is not ended by a signal that it does not listen for: this asks how soon each does. */
async function endWhileStarting(): Promise<void> {
  const env = { REDIS_URL: redis.url, WORKER_PORT: '0', API_PORT: '0', WEB_PORT: '0' }
  for (const part of ['api', 'worker', 'web'] as const) {
    const startedAt = Date.now()
    const container = start(part, { env, volume: part === 'worker' ? makeVolume('models') : '' })
    while (!(await listensToSigterm(container))) await sleep(5)
    const listensMs = Date.now() - startedAt
    ok(container.output() === '', `${part} has started already: ${container.output()}`)
    await container.kill('SIGTERM')
    ok((await container.ended) === 128 + 15, `${part} ends with ${await container.ended}`)
    claim(`${part} ends by SIGTERM from ${listensMs} ms after its start, while its modules load`)
  }
  const worker = start('worker', { env, volume: makeVolume('models') })
  while (!worker.output().includes('preparing the model')) await sleep(10)
  claim('worker prepares its model')
  await endsBySigterm('worker', worker)
}

/** Looks into the kernel's set of signals that the process catches. */
async function listensToSigterm(container: Container): Promise<boolean> {
  const status = readFileSync(`/proc/${await container.pid()}/status`, 'utf8')
  const caught = BigInt(`0x${/^SigCgt:\s+(\S+)$/m.exec(status)![1]}`)
  return (caught >> 14n) % 2n === 1n && /^NSpid:.*\s1$/m.test(status) && /^Name:\s+node$/m.test(status)
}

/** An empty folder that belongs to the images' user. */
function makeVolume(name: string, { keep = false } = {}): string {
  const dir = join(workDir!, name)
  if (keep) return dir
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { recursive: true })
  const [uid, gid] = images.worker.user.split(':').map(Number)
  chownSync(dir, uid!, gid!)
  return dir
}

function claim(text: string): void {
  console.log(`ok  ${text}`)
}
