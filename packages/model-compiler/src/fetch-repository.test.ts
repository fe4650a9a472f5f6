import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { access, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadModel, readManifest } from '@sdcpu/diffusion'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fetchRepository } from './fetch-repository.ts'
import { HubError } from './hub-error.ts'
import type { HubOptions } from './hub-options.ts'
import { parseRepository } from './hub-repository.ts'
import { prepareModel } from './prepare-model.ts'
import { type Files, type HubDouble, readFiles, startHubDouble } from './testing/hub-double.ts'

const MODELS = join(import.meta.dirname, 'fixtures/models')
const UNET = 'unet/diffusion_pytorch_model.safetensors'
const WHOLE = await readFiles(join(MODELS, 'threelevels'))
const SHARDED = await readFiles(join(MODELS, 'twolevels'))
const QUICK = {
  stallMs: 500,
  backoffMs: 2,
  maxBackoffMs: 10,
  maxRetryAfterMs: 5000,
  progressMs: 0,
  heartbeatMs: 30,
  staleMs: 2000,
}

let hub: HubDouble
let dataDir: string
let messages: string[]
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sd-hub-'))
  hub = await startHubDouble()
  messages = []
})
afterEach(async () => {
  await hub.close()
  await rm(dataDir, { recursive: true, force: true })
})

const options = (changes: Partial<HubOptions> = {}) => ({
  dataDir,
  hub: { endpoint: hub.url, timing: QUICK, ...changes },
  onProgress: ({ message }: { message: string }) => messages.push(message),
})
const fetch = (text = 'owner/name', changes: Partial<HubOptions> = {}) =>
  fetchRepository(parseRepository(text)!, options(changes))
const bodies = (path: string) => hub.seen.filter((seen) => seen.path === path && seen.sent > 0)
const said = () => messages.join('\n')

async function expectSame(folder: string, files: Files, paths: string[] = [...files.keys()]): Promise<void> {
  for (const path of paths) expect(await readFile(join(folder, path)), path).toEqual(files.get(path))
}

/** Paths below a folder, without the marker of a finished download. */
async function list(folder: string): Promise<string[]> {
  return [...(await readFiles(folder)).keys()].filter((path) => path !== 'complete.json').toSorted()
}

describe('what is downloaded', () => {
  it('is the smallest set with the model card, the fp16 weights first, and nothing else', async () => {
    const commit = hub.commit(
      new Map([
        ...WHOLE,
        ['unet/diffusion_pytorch_model.fp16.safetensors', WHOLE.get(UNET)!],
        ...['README.md', 'sd_xl_turbo_1.0_fp16.safetensors', 'unet/model.onnx', 'unet/model.onnx_data'].map(
          (path): [string, Buffer] => [path, Buffer.from(path)],
        ),
        ...['unet/diffusion_pytorch_model.bin', 'text_encoder/flax_model.msgpack', '../evil.json'].map(
          (path): [string, Buffer] => [path, Buffer.from(path)],
        ),
      ]),
    )
    const { folder } = await fetch()
    expect(folder).toBe(join(dataDir, 'sources/owner--name', commit))
    const expected = [...WHOLE.keys()].map((path) =>
      path === UNET ? 'unet/diffusion_pytorch_model.fp16.safetensors' : path,
    )
    expect(await list(folder)).toEqual([...expected, 'README.md'].toSorted())
  })

  it('are the index and its shards, byte for byte', async () => {
    hub.commit(SHARDED)
    const { folder } = await fetch()
    expect(await list(folder)).toEqual([...SHARDED.keys()].toSorted())
    await expectSame(folder, SHARDED)
  })

  it('are fp16 shards before full weights', async () => {
    const shards = [...SHARDED].filter(([path]) => path.startsWith('unet/diffusion'))
    const fp16: Files = new Map(
      shards.map(([path, bytes]) => {
        if (!path.endsWith('.json')) return [path.replace('_model-', '_model.fp16-'), bytes]
        return [
          path.replace('index', 'index.fp16'),
          Buffer.from(bytes.toString().replaceAll('_model-', '_model.fp16-')),
        ]
      }),
    )
    hub.commit(new Map([...SHARDED, ...fp16]))
    const { folder } = await fetch()
    const unet = (await list(folder)).filter((path) => path.startsWith('unet/'))
    expect(unet).toEqual([...fp16.keys(), 'unet/config.json'].toSorted())
  })

  it('is found by asking file for file where a mirror has no API', async () => {
    hub.options.hasApi = false
    const commit = hub.commit(SHARDED)
    expect((await fetch()).commit).toBe(commit)
    await expectSame(join(dataDir, 'sources/owner--name', commit), SHARDED)
  })

  it('comes from one commit though the branch moves meanwhile', async () => {
    const first = hub.commit(WHOLE)
    const moved = new Map(
      [...WHOLE].map(([path, bytes]): [string, Buffer] => [path, Buffer.concat([bytes, bytes])]),
    )
    for (const hasApi of [true, false]) {
      hub.options.hasApi = hasApi
      hub.branches.set('main', first)
      hub.spoil = ({ path }) => {
        if (path.includes('text_encoder')) hub.commit(moved)
        return undefined
      }
      const { folder, commit } = await fetch()
      expect(commit).toBe(first)
      await expectSame(folder, WHOLE)
      await rm(folder, { recursive: true })
    }
  })

  it('is a tag with a slash when that is asked for', async () => {
    const old = hub.commit(WHOLE, 'refs/pr/1')
    hub.commit(SHARDED)
    expect((await fetch('owner/name@refs/pr/1')).commit).toBe(old)
  })

  it('is checked by size alone, and said so, where a mirror gives no hashes', async () => {
    hub.options.hasHashes = false
    hub.commit(WHOLE)
    await expectSame((await fetch()).folder, WHOLE)
    expect(said()).toContain('the hub gave no hash for 18 of 18 files; only sizes were checked')
  })

  it('may come from a mirror that passes everything on to a hub, without the token', async () => {
    hub.commit(WHOLE)
    const mirror = createServer(({ url }, response) => {
      response.writeHead(308, { location: `${hub.url}${url}` }).end()
    }).listen(0, '127.0.0.1')
    await once(mirror, 'listening')
    const endpoint = `http://127.0.0.1:${(mirror.address() as AddressInfo).port}`
    await expectSame((await fetch('owner/name', { endpoint, token: 'hf_secret' })).folder, WHOLE)
    expect(hub.seen.some(({ authorization }) => authorization !== undefined)).toBe(false)
    expect(said()).not.toContain('no hash')
    hub.options.isGated = true
    await rm(dataDir, { recursive: true })
    await expect(fetch('owner/name', { endpoint })).rejects.toThrow(/^owner\/name is gated/)
    mirror.closeAllConnections()
    mirror.close()
  })

  it('is refused where nobody says which commit it is', async () => {
    Object.assign(hub.options, { hasApi: false, hasCommitHeader: false })
    const commit = hub.commit(WHOLE)
    await expect(fetch()).rejects.toThrow(/does not say which commit revision main of owner\/name is/)
    expect((await fetch(`owner/name@${commit}`)).commit).toBe(commit)
  })

  it('is refused when the disk cannot hold it, with the numbers', async () => {
    hub.commit(WHOLE)
    hub.spoil = ({ method, path }) =>
      method === 'HEAD' && path === UNET ? { headers: { 'x-linked-size': '9000000000000000' } } : undefined
    await expect(fetch()).rejects.toThrow(
      /^owner\/name needs 9000 TB more, and \S+ has [\d.]+ [TGM]B free; free [\d.]+ TB or set DATA_DIR to a larger disk$/,
    )
    expect(bodies(UNET)).toEqual([])
  })
})

describe('the token', () => {
  it('goes to the hub and never to where it redirects', async () => {
    hub.options.token = 'hf_secret'
    hub.commit(WHOLE)
    await fetch('owner/name', { token: 'hf_secret' })
    const to = (server: string) => hub.seen.filter((seen) => seen.server === server)
    expect(to('hub').every(({ authorization }) => authorization === 'Bearer hf_secret')).toBe(true)
    expect(to('cdn').length).toBeGreaterThan(3)
    expect(to('cdn').some(({ authorization }) => authorization !== undefined)).toBe(false)
  })
})

describe('a download', () => {
  it('goes on behind a cut, more often than the limit of failures as long as each brings something', async () => {
    hub.commit(WHOLE)
    hub.spoil = ({ path, nth, server }) =>
      server === 'cdn' && path === UNET && nth <= 10 ? { cutAfter: 90_000, trickleMs: 2 } : undefined
    await expectSame((await fetch()).folder, WHOLE)
    const parts = bodies(UNET)
    expect(parts).toHaveLength(11)
    // What was cut off between the socket and the disk comes again; nothing else does.
    const starts = parts.map(({ range }) => Number(/\d+/.exec(range ?? '0')![0]))
    expect(starts).toEqual(starts.toSorted((a, b) => a - b))
    expect(starts.at(-1)).toBeGreaterThan(90_000)
    expect(said()).toMatch(
      /owner\/name, unet\/\S+: cut at byte \d+ of 1136312 \(\w+\); trying again in 0.0 s \(failure 1 of 6\)/,
    )
  })

  it('begins again where the server knows no ranges', async () => {
    hub.options.hasRanges = false
    hub.commit(WHOLE)
    hub.spoil = ({ server, path, nth }) =>
      server === 'cdn' && path === UNET && nth === 1 ? { cutAfter: 500_000 } : undefined
    await expectSame((await fetch()).folder, WHOLE)
    expect(bodies(UNET).map(({ status }) => status)).toEqual([200, 200])
  })

  it('gives up after six failures that bring nothing', async () => {
    hub.commit(WHOLE)
    hub.spoil = ({ server, path }) => (server === 'cdn' && path === UNET ? { cutAfter: 0 } : undefined)
    await expect(fetch()).rejects.toThrow(/unet\/\S+: .+, 6 times in a row; check the network, HF_ENDPOINT/)
  })

  it('takes silence for a cut, and slowness not', async () => {
    hub.commit(WHOLE)
    hub.spoil = ({ server, path, nth }) => {
      if (server !== 'cdn') return undefined
      if (path === UNET && nth === 1) return { stallAfter: 400_000 }
      return path.startsWith('vae/') ? { trickleMs: 50 } : undefined
    }
    await expectSame((await fetch()).folder, WHOLE)
    expect(said()).toMatch(/unet\/\S+: cut at byte 400000 of 1136312 \(no byte for 0.5 s\)/)
    expect(bodies('vae/diffusion_pytorch_model.safetensors')).toHaveLength(1)
  })

  it('takes bytes that are wrong once for an accident', async () => {
    hub.commit(WHOLE)
    hub.spoil = ({ method, path, nth, server }) =>
      method === 'GET' &&
      nth === 1 &&
      ((path === UNET && server === 'cdn') || path === 'tokenizer/merges.txt')
        ? { corrupt: true }
        : undefined
    await expectSame((await fetch()).folder, WHOLE)
    expect(said()).toMatch(/unet\/\S+: its SHA-256 is [0-9a-f]{64}; the hub says [0-9a-f]{64}; trying again/)
    expect(said()).toMatch(/tokenizer\/merges.txt: its SHA-1 is [0-9a-f]{40}; the hub says [0-9a-f]{40}/)
  })

  it('is refused when its bytes are wrong twice, and nothing of it stays', async () => {
    const commit = hub.commit(WHOLE)
    hub.spoil = ({ path, server }) => (path === UNET && server === 'cdn' ? { corrupt: true } : undefined)
    await expect(fetch()).rejects.toThrow(
      /its SHA-256 is .*, 2 times; a proxy or mirror on the way changes it. Try another HF_ENDPOINT$/,
    )
    expect(await readdir(join(dataDir, 'sources/owner--name', commit, 'unet'))).toEqual(['config.json'])
  })

  it('outlasts errors of the server, each with a longer pause', async () => {
    hub.commit(WHOLE)
    const errors = [500, 502, 503]
    hub.spoil = ({ server, nth, path }) =>
      server === 'hub' && nth <= 3 && /^\/api|unet/.test(path) ? { status: errors[nth - 1]! } : undefined
    await expectSame((await fetch()).folder, WHOLE)
    expect(said()).toContain('answers 503; trying again in 0.0 s (failure 3 of 6)')
  })

  it('waits as long as a 429 asks', async () => {
    hub.commit(WHOLE)
    hub.spoil = ({ path, method, nth }) =>
      path === 'model_index.json' && method === 'GET' && nth === 1
        ? { status: 429, headers: { 'retry-after': '1' } }
        : undefined
    const started = performance.now()
    await fetch()
    expect(performance.now() - started).toBeGreaterThan(990)
    expect(said()).toContain('answers 429; trying again in 1.0 s')
  })

  it('does not wait for hours', async () => {
    hub.commit(WHOLE)
    hub.spoil = () => ({ status: 429, headers: { 'retry-after': '7200' } })
    await expect(fetch()).rejects.toThrow(/answers 429, and asks to wait 7200 s; the limit is 5.0 s/)
  })

  it('tells bytes, rate and time left', async () => {
    hub.commit(WHOLE)
    await fetch()
    expect(said()).toMatch(/Downloading owner\/name: [\d.]+ MB of 1.71 MB, [\d.]+ MB\/s, \d+ s left/)
    expect(said()).toMatch(/Downloaded owner\/name at commit [0-9a-f]{40}: 18 files, 1.71 MB$/)
  })

  it('goes through a proxy where one is set, except to the hosts it is not for', async () => {
    hub.commit(WHOLE)
    const asked: string[] = []
    const proxy = createServer((incoming, outgoing) => {
      asked.push(incoming.url!)
      const { method, headers } = incoming
      const onward = request(incoming.url!, { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode!, answer.headers)
        answer.pipe(outgoing)
      })
      onward.end()
    }).listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    const HTTP_PROXY = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
    const { folder } = await fetch('owner/name', { proxy: { HTTP_PROXY } })
    await expectSame(folder, WHOLE)
    expect(asked.length).toBe(hub.seen.length)
    await rm(folder, { recursive: true })
    asked.length = 0
    await fetch('owner/name', { proxy: { HTTP_PROXY, NO_PROXY: '127.0.0.1' } })
    expect(asked).toEqual([])
    proxy.closeAllConnections()
    proxy.close()
  })
})

describe('a refusal', () => {
  const GATED =
    /^owner\/name is gated: http:\S+ says 40[13] \(Access to model owner\/name is restricted\..*\)\. Accept its licence at http:\S+\/owner\/name /

  it.each<[string, () => void, string, string | undefined, RegExp]>([
    ['gated, without a token', () => (hub.options.isGated = true), 'owner/name', undefined, GATED],
    [
      'gated, without a token',
      () => (hub.options.isGated = true),
      'owner/name',
      undefined,
      /and set HF_TOKEN to a token of that account$/,
    ],
    [
      'gated, with a token',
      () => (hub.options.isGated = true),
      'owner/name',
      'hf_x',
      /with the account that HF_TOKEN belongs to$/,
    ],
    [
      'missing or private',
      () => {},
      'owner/nothing',
      undefined,
      /^there is no folder owner\/nothing, and no public repository of that name: http:\S+ says 401 \(Invalid username or password\)\. Check the name; a private one needs HF_TOKEN$/,
    ],
    [
      'another revision',
      () => {},
      'owner/name@v9',
      undefined,
      /^owner\/name has no revision "v9": http:\S+ says 404 \(Invalid rev id: v9\)/,
    ],
    [
      'disabled',
      () => {
        hub.spoil = () => ({
          status: 403,
          headers: {
            'x-error-code': 'DisabledRepo',
            'x-error-message': 'Access to this resource is disabled.',
          },
        })
      },
      'owner/name',
      undefined,
      /^owner\/name is disabled on the hub: http:\S+ says 403 \(Access to this resource is disabled\)\. See http/,
    ],
    [
      'no model',
      () => hub.commit(new Map([...WHOLE].filter(([path]) => !/vae|merges/.test(path)))),
      'owner/name',
      undefined,
      /^owner\/name is not a whole SDXL model in diffusers layout: vae\/config.json and 3 more of its files are not there$/,
    ],
  ])('is one sentence with what to do: %s', async (_what, arrange, text, token, message) => {
    hub.commit(WHOLE)
    arrange()
    await expect(fetch(text, { token })).rejects.toThrow(message)
    await expect(fetch(text, { token })).rejects.toBeInstanceOf(HubError)
  })

  it('of everything, by a server that is no hub, is one sentence too', async () => {
    hub.spoil = () => ({ status: 404 })
    await expect(fetch()).rejects.toThrow(/has no owner\/name at revision main in diffusers layout/)
  })
})

describe('a finished download', () => {
  it('is found without the network when it is asked for by commit', async () => {
    const commit = hub.commit(WHOLE)
    const { folder } = await fetch()
    hub.seen.length = 0
    expect(await fetch(`owner/name@${commit}`)).toEqual({ folder, commit })
    expect(hub.seen).toEqual([])
  })

  it('costs one question when it is asked for by branch', async () => {
    hub.commit(WHOLE)
    await fetch()
    hub.seen.length = 0
    await fetch()
    expect(hub.seen.map(({ path }) => path)).toEqual(['/api/models/owner/name/revision/main'])
  })

  it('does while the hub cannot be reached, and that is said', async () => {
    const commit = hub.commit(WHOLE)
    await fetch()
    const away = { endpoint: 'http://127.0.0.1:9' }
    expect((await fetch('owner/name', away)).commit).toBe(commit)
    expect(said()).toMatch(
      new RegExp(
        `ECONNREFUSED.*, 2 times in a row.*Using commit ${commit} of owner/name, which was downloaded before`,
      ),
    )
    await expect(fetch('owner/name@v2', away)).rejects.toThrow(/ECONNREFUSED.*6 times in a row/)
  })

  it('is downloaded again where a file of it was removed, but only that file', async () => {
    hub.commit(WHOLE)
    const { folder } = await fetch()
    await rm(join(folder, 'vae/config.json'))
    hub.seen.length = 0
    await fetch()
    expect(
      hub.seen.filter(({ method, sent }) => method === 'GET' && sent > 0).map(({ path }) => path),
    ).toEqual(['/api/models/owner/name/revision/main', 'vae/config.json'])
  })
})

describe('two processes', () => {
  const CHILD = `
    const { fetchRepository } = await import(process.env.MODULE)
    const { folder } = await fetchRepository({ owner: 'owner', name: 'name', id: 'owner/name' }, {
      dataDir: process.env.DATA_DIR,
      hub: { endpoint: process.env.ENDPOINT, timing: JSON.parse(process.env.TIMING) },
      onProgress: ({ message }) => console.log(message),
    })
    console.log('done ' + folder)`

  function startChild() {
    const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD], {
      env: {
        ...process.env,
        MODULE: join(import.meta.dirname, 'fetch-repository.ts'),
        DATA_DIR: dataDir,
        ENDPOINT: hub.url,
        TIMING: JSON.stringify({ ...QUICK, stallMs: 10_000 }),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let printed = ''
    child.stdout.on('data', (data) => {
      printed += data
    })
    const ended = once(child, 'exit')
    return { child, ended, printed: () => printed }
  }

  it('fetch nothing twice: the second waits and says so', async () => {
    hub.commit(WHOLE)
    hub.spoil = ({ server }) => (server === 'cdn' ? { trickleMs: 30 } : undefined)
    const children = [startChild(), startChild()]
    for (const { ended } of children) expect(await ended).toEqual([0, null])
    const outputs = children.map(({ printed }) => printed())
    expect(
      outputs.filter((text) => /Waiting for process \d+ on \S+, which is downloading owner\/name/.test(text)),
    ).toHaveLength(1)
    expect(outputs.every((text) => text.includes('done '))).toBe(true)
    expect(bodies(UNET)).toHaveLength(1)
  })

  it('share the work when the first is killed: the second goes on where it was', async () => {
    const commit = hub.commit(WHOLE)
    hub.spoil = ({ server, path, nth }) =>
      server === 'cdn' && path === UNET && nth === 1 ? { stallAfter: 700_000 } : undefined
    const first = startChild()
    const folder = join(dataDir, 'sources/owner--name', commit)
    const partial = join(folder, `${UNET}.partial`)
    while ((await stat(partial).catch(() => undefined))?.size !== 700_000) await sleep(10)
    first.child.kill('SIGKILL')
    await first.ended
    await access(`${folder}.lock`)
    expect((await fetch()).folder).toBe(folder)
    await expectSame(folder, WHOLE)
    expect(bodies(UNET).map(({ range, sent }) => ({ range, sent }))).toEqual([
      { range: undefined, sent: 700_000 },
      { range: 'bytes=700000-', sent: 436_312 },
    ])
    expect(await readdir(join(dataDir, 'sources/owner--name'))).toEqual([commit])
    expect((await list(folder)).filter((path) => path.endsWith('.partial'))).toEqual([])
  })

  it('do not build on a rest that is not of this file', async () => {
    const commit = hub.commit(WHOLE)
    const partial = join(dataDir, 'sources/owner--name', commit, `${UNET}.partial`)
    await mkdir(dirname(partial), { recursive: true })
    await writeFile(partial, Buffer.alloc(500_000, 7))
    await expectSame((await fetch()).folder, WHOLE)
    expect(bodies(UNET)).toHaveLength(2)
  })
})

describe('prepareModel', () => {
  const prepare = (model: string) => prepareModel({ model, plan: 'fp32', ...options() })

  it('downloads, compiles and records a repository', async () => {
    const commit = hub.commit(SHARDED)
    const { dir } = await prepare('owner/name')
    expect(dir).toMatch(/models\/owner--name-fp32-v\w+-[0-9a-f]{16}$/)
    const manifest = await readManifest(dir)
    expect(manifest.name).toBe('owner/name')
    expect(manifest.source).toEqual({ repository: 'owner/name', revision: commit })
    await loadModel(dir, { threads: 1 })
    expect(await prepare(`owner/name@${commit}`)).toMatchObject({ dir })
  })

  it('takes a folder of that name instead, and asks nobody', async () => {
    await expect(prepare('packages/model-compiler')).rejects.toThrow(/model_index.json is missing/)
    expect(hub.seen).toEqual([])
  })
})

it('gives the double the hashes that git gives', () => {
  // `printf 'hello\n' | git hash-object --stdin`
  const sum = createHash('sha1').update('blob 6\0').update('hello\n').digest('hex')
  expect(sum).toBe('ce013625030ba8dba906f756967f9e9ca394464a')
})
