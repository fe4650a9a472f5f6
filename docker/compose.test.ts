import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { ApiConfig, loadConfig as loadApiConfig } from '../apps/api/src/config.ts'
import { loadConfig as loadWebConfig, WebConfig } from '../apps/web/src/server/config.ts'
import { loadConfig as loadWorkerConfig, WorkerConfig } from '../apps/worker/src/config.ts'
import { isPinned, parseDockerfile, readJson } from './dockerfile.ts'

type Service = {
  image: string
  build?: { dockerfile: string; args: { BASE: string } }
  environment?: Record<string, string | number | null>
  depends_on?: Record<string, { condition: string }>
  networks: string[]
  ports?: string[]
  volumes?: string[]
  healthcheck: { test: string[] }
  stop_grace_period?: string
  [setting: string]: unknown
}

const ROOT = join(import.meta.dirname, '..')
const FILE = readFileSync(join(ROOT, 'docker/compose.yaml'), 'utf8')
const compose = parse(FILE, { merge: true }) as {
  services: Record<string, Service>
  networks: Record<string, { internal?: boolean } | null>
  volumes: object
}
const services = Object.entries(compose.services)

// Names of a config that compose leaves out, and why.
const LEFT_OUT = [
  /^HF_TOKEN_PATH$|^API_KEYS_FILE$/, // a path of the machine is no path in the container; HF_TOKEN and API_KEYS do
  /^REDIS_(MODE|USERNAME|PASSWORD|SENTINEL_|TLS_)/, // Valkey is here, one server without a password or TLS
]

const APPS = [
  { part: 'api', names: Object.keys(ApiConfig.shape), load: loadApiConfig },
  { part: 'worker', names: Object.keys(WorkerConfig.shape), load: loadWorkerConfig },
  { part: 'web', names: Object.keys(WebConfig.shape), load: loadWebConfig },
] as const

describe.each(APPS)('the service $part', ({ part, names, load }) => {
  const service = compose.services[part]!
  const environment = service.environment!

  it('passes on every name of its config, and no other', () => {
    expect(Object.keys(environment).sort()).toEqual(
      names.filter((name) => !LEFT_OUT.some((left) => left.test(name))).sort(),
    )
  })

  it('is a configuration that the app takes', () => {
    const given = Object.entries(environment).filter(([, value]) => value !== null)
    const config = load(Object.fromEntries(given.map(([name, value]) => [name, String(value)])))
    expect(config).toMatchObject(Object.fromEntries(given))
  })

  it('names an image by its own version, and builds it as the Dockerfile says', () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    expect(service.image).toBe(`stable-diffusion-cpu-${part}:${version}`)
    expect(service.build!.dockerfile).toBe(`docker/${part}.Dockerfile`)
    const { args } = readImage(part)
    expect(fillIn(service.build!.args.BASE)).toBe(args.BASE)
  })

  it('asks for readiness where the image asks for life', () => {
    const { stages } = readImage(part)
    const own = readJson(stages.at(-1)!.steps.find(({ keyword }) => keyword === 'HEALTHCHECK')!)
    const [kind, ...command] = service.healthcheck.test
    expect(kind).toBe('CMD')
    expect(command).toEqual([...own.slice(0, -1), '/readyz'])
    expect(command).toContain(String(environment[`${part.toUpperCase()}_PORT`]))
  })
})

describe.each(services)('the service %s, as any', (_, service) => {
  it('has an image of one version, not of the day', () => {
    expect(isPinned(fillIn(service.image)) || service.build).toBeTruthy()
  })

  it('may do no more than it must', () => {
    expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], pids_limit: expect.any(Number) })
    expect(service.security_opt).toContain('no-new-privileges:true')
    expect(service.privileged ?? false).toBe(false)
    if (!service.build) expect(service.user).toMatch(/^[1-9]\d*:[1-9]\d*$/)
  })

  it('has its limits, a health check and bounded logs', () => {
    expect(fillIn(String(service.mem_limit))).toMatch(/^\d+[mg]$/)
    expect(fillIn(String(service.cpus))).toMatch(/^\d+(\.\d+)?$/)
    expect(service.healthcheck.test.length).toBeGreaterThan(1)
    expect(service.logging).toMatchObject({ options: { 'max-size': expect.any(String) } })
  })

  it('waits for parts that can become healthy, and uses networks and volumes that are there', () => {
    for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
      expect(compose.services).toHaveProperty(name)
      expect(condition).toBe('service_healthy')
    }
    for (const name of service.networks) expect(compose.networks).toHaveProperty(name)
    for (const mount of service.volumes ?? []) expect(compose.volumes).toHaveProperty(mount.split(':')[0]!)
  })
})

describe('compose.yaml', () => {
  const { api, worker, web, valkey } = compose.services as Record<
    'api' | 'worker' | 'web' | 'valkey',
    Service
  >

  it('publishes the page alone, on this machine alone, unless asked to', () => {
    const published = services.flatMap(([name, { ports = [] }]) => ports.map((port) => [name, fillIn(port)]))
    expect(published).toEqual([['web', '127.0.0.1:5001:5001']])
  })

  it('lets nothing outside reach Valkey, and Valkey nothing outside', () => {
    expect(valkey.networks).toEqual(['back'])
    expect(compose.networks.back).toMatchObject({ internal: true })
    expect(web.networks).not.toContain('back')
  })

  it('joins the parts by names and ports that are theirs', () => {
    expect(web.environment!.API_URL).toBe(`http://api:${api.environment!.API_PORT}`)
    for (const { environment, networks } of [api, worker]) {
      expect(environment!.REDIS_URL).toBe('redis://valkey:6379')
      expect(networks).toContain('back')
    }
    expect(web.networks.filter((name) => api.networks.includes(name))).not.toEqual([])
  })

  it('gives the worker longer to stop than the worker gives its batch', () => {
    const stopSeconds = Number(/^(\d+)s$/.exec(worker.stop_grace_period!)![1])
    expect(stopSeconds).toBeGreaterThan(Number(worker.environment!.SHUTDOWN_GRACE_SECONDS))
  })

  it('has Valkey refuse rather than forget, below its limit of memory', () => {
    const command = (valkey.command as string[]).join(' ')
    expect(command).toContain('--maxmemory-policy noeviction')
    expect(command).toContain('--appendonly yes')
    const megabytes = Number(/--maxmemory (\d+)mb/.exec(command)![1])
    expect(valkey.mem_limit).toBe('1g')
    expect(megabytes).toBeLessThan(0.75 * 1024)
  })
})

const readImage = (part: string) =>
  parseDockerfile(readFileSync(join(ROOT, `docker/${part}.Dockerfile`), 'utf8'))

/** Puts in what compose would where nothing is set. */
function fillIn(text: string): string {
  return text.replace(/\$\{\w+:-([^}]*)\}/g, '$1')
}
