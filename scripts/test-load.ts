// Loads the service: 20 callers ask for 200 pictures while a worker is killed and Redis is restarted. Prints what it saw.
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Service, startService } from './service.ts'

const PNG_SIGNATURE = '89504e470d0a1a0a'
const SIZES = ['256x256', '192x256', '128x128']
const MAX_P95_MS = 50
const MAX_ETA_ERROR = 0.3
const END_MS = 600_000

type Image = {
  index: number
  status: string
  url?: string
  etaSeconds?: number
  width?: number
  height?: number
}
type Resource = { id: string; status: string; request: { size: string }; images: Image[] }
type Request = { resource: Resource; askedAt: number; endedAt: Map<number, number> }

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '200' },
    callers: { type: 'string', default: '20' },
    'without-faults': { type: 'boolean', default: false },
  },
})
const calls: { method: string; ms: number }[] = []
const faults: string[] = []
let refused = 0

const service = await startService({ workers: 2, env: { QUEUE_LIMIT: '1000', LOG_LEVEL: 'warn' } })
try {
  await measureEtas(service)
  await load(service, { images: Number(values.images), callers: Number(values.callers) })
} finally {
  await service.stop()
}
for (const fault of faults) console.error(`FAILED: ${fault}`)
process.exitCode = faults.length === 0 ? 0 : 1

/** Compares what was told at enqueue, behind others, with what came. */
async function measureEtas({ api }: Service): Promise<void> {
  // Each kind of batch a few times, so that its time is known: beside others, which take a share of the same cores.
  for (let round = 0; round < 3; round++) {
    const warmUp: Request[] = []
    for (const n of [4, 4, 1, 1])
      for (const size of SIZES) warmUp.push(await ask(api, { n, size }, `first-${n}`))
    await Promise.all(warmUp.map((request) => follow(api, request)))
  }
  const requests: Request[] = []
  for (let i = 0; i < 40; i++)
    requests.push(await ask(api, { n: 1, size: SIZES[i % SIZES.length]!, steps: 8 }, `early-${i % 4}`))
  await Promise.all(requests.map((request) => follow(api, request)))
  const errors = requests.slice(4).map(({ resource, askedAt, endedAt }) => {
    const tookSeconds = (endedAt.get(0)! - askedAt) / 1000
    return ((resource.images[0]!.etaSeconds ?? Infinity) - tookSeconds) / tookSeconds
  })
  const median = quantile(errors.map(Math.abs), 0.5)
  const bias = 100 * quantile(errors, 0.5)
  console.log(
    `time left, told at enqueue: median error ${(100 * median).toFixed(0)} % of ${errors.length} pictures, in the middle ${bias.toFixed(0)} %`,
  )
  if (!(median <= MAX_ETA_ERROR))
    faults.push(`the median error of the time left is above ${100 * MAX_ETA_ERROR} %`)
}

async function load(
  service: Service,
  { images, callers }: { images: number; callers: number },
): Promise<void> {
  const { api } = service
  calls.length = 0
  const startedAt = Date.now()
  const each = images / callers
  let drawn = 0
  const disturbing = values['without-faults'] ? Promise.resolve() : disturb(service, () => drawn / images)
  const all = await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      const requests: Request[] = []
      for (let i = 0; i < each; i += 2)
        requests.push(
          await ask(api, { n: Math.min(2, each - i), size: SIZES[(caller + i) % 3]! }, `caller-${caller}`),
        )
      for (const request of requests) await follow(api, request, () => drawn++)
      return requests
    }),
  )
  await disturbing
  const seconds = (Date.now() - startedAt) / 1000
  const requests = all.flat()
  const ids = new Set(
    requests.flatMap(({ resource }) => resource.images.map(({ index }) => `${resource.id}/${index}`)),
  )
  const lost = requests.flatMap(({ resource }) =>
    resource.images.filter(({ status }) => status !== 'succeeded'),
  )
  const wrong = (await Promise.all(requests.map(({ resource }) => findWrong(api, resource)))).flat()
  const { models } = (await (await fetch(`${api}/api/v1/system`)).json()) as {
    models: { queue: { waiting: number; active: number } }[]
  }
  const { waiting, active } = models[0]!.queue
  const p95 = quantile(timesOf(['GET', 'POST']), 0.95)
  console.log(
    `${ids.size} pictures for ${callers} callers in ${seconds.toFixed(0)} s, ${refused} calls told to come back`,
  )
  console.log(`${lost.length} lost, ${wrong.length} wrong, ${waiting + active} left in the queue`)
  for (const methods of [['GET', 'POST'], ['GET'], ['POST']]) {
    const times = timesOf(methods)
    const [median, late] = [0.5, 0.95].map((share) => quantile(times, share).toFixed(0))
    console.log(
      `${times.length} calls (${methods.join(' and ')}): median ${median} ms, p95 ${late} ms, longest ${Math.max(...times).toFixed(0)} ms`,
    )
  }
  if (ids.size !== images || drawn !== images)
    faults.push(`${ids.size} pictures were asked for and ${drawn} ended; ${images} are expected`)
  if (lost.length > 0) faults.push(`${lost.length} pictures were lost`)
  if (wrong.length > 0) faults.push(`${wrong.length} pictures are not what was asked for: ${wrong[0]}`)
  if (waiting + active > 0) faults.push(`${waiting + active} pictures are left in the queue`)
  if (p95 > MAX_P95_MS) faults.push(`p95 of the calls is ${p95.toFixed(0)} ms; the limit is ${MAX_P95_MS} ms`)
}

/** Kills a worker when a third is drawn and starts another, and restarts Redis when two thirds are. */
async function disturb({ workers, startWorker, redis }: Service, share: () => number): Promise<void> {
  while (share() < 1 / 3) await sleep(50)
  process.kill(workers[0]!.pid, 'SIGKILL')
  console.log('killed a worker')
  await startWorker()
  while (share() < 2 / 3) await sleep(50)
  await redis.kill()
  console.log('killed Redis')
  await sleep(2000)
  await redis.restart()
}

async function ask(api: string, body: object, caller: string): Promise<Request> {
  const askedAt = Date.now()
  const resource = await call<Resource>(`${api}/api/v1/images`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'idempotency-key': crypto.randomUUID(),
      'x-client-token': `token-of-the-load-test-${caller}`,
    },
    body: JSON.stringify({ prompt: 'a panda on a blue background', steps: 2, ...body }),
  })
  return { resource, askedAt, endedAt: new Map() }
}

/** Asks until all images have ended. */
async function follow(api: string, request: Request, onEnd = () => {}): Promise<Request> {
  const told = request.resource.images.map(({ etaSeconds }) => etaSeconds)
  while (request.endedAt.size < told.length) {
    if (Date.now() - request.askedAt > END_MS)
      throw new Error(`${request.resource.id} did not end in ${END_MS / 1000} s`)
    await sleep(200)
    const { images, status } = await call<Resource>(`${api}/api/v1/images/${request.resource.id}`)
    for (const { index, status } of images) {
      if (status === 'queued' || status === 'running' || request.endedAt.has(index)) continue
      request.endedAt.set(index, Date.now())
      onEnd()
    }
    request.resource = {
      ...request.resource,
      status,
      images: images.map((image) => ({ ...image, etaSeconds: told[image.index] })),
    }
  }
  return request
}

/** Calls the API, and again after `Retry-After` where it says so; only answers count as calls. */
async function call<T>(url: string, init?: RequestInit): Promise<T> {
  for (;;) {
    const startedAt = performance.now()
    const answer = await fetch(url, init)
    const body = await answer.text()
    calls.push({ method: init?.method ?? 'GET', ms: performance.now() - startedAt })
    if (answer.ok) return JSON.parse(body)
    if (answer.status !== 503 && answer.status !== 429) throw new Error(`${url}: ${answer.status} ${body}`)
    refused++
    await sleep(Number(answer.headers.get('retry-after') ?? 1) * 1000)
  }
}

/** Pictures of a request that are not PNGs of the size that was asked for. */
async function findWrong(api: string, { request, images }: Resource): Promise<string[]> {
  const wrong: string[] = []
  for (const { url } of images) {
    if (!url) continue
    const bytes = Buffer.from(await (await fetch(api + url)).arrayBuffer())
    const size = `${bytes.readUInt32BE(16)}x${bytes.readUInt32BE(20)}` // of the header, the first chunk
    if (bytes.subarray(0, 8).toString('hex') !== PNG_SIGNATURE || size !== request.size)
      wrong.push(`${url} is ${size}, not ${request.size}`)
  }
  return wrong
}

function timesOf(methods: string[]): number[] {
  return calls.filter(({ method }) => methods.includes(method)).map(({ ms }) => ms)
}

function quantile(numbers: number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
