import { mkdir, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Child, Children } from '../../scripts/child-processes.ts'
import { freePort } from '../../scripts/ports.ts'
import { findRedis } from '../../scripts/redis.ts'
import { find, type Manifest, ofKind, type Pod, pods } from './render.ts'

const ROOT = join(import.meta.dirname, '..', '..')
// What the images run when a container names no arguments; docker/*.Dockerfile says so too.
const COMMANDS: Record<string, string[]> = {
  api: ['apps/api/src/main.ts'],
  web: ['apps/web/src/server/main.ts'],
  worker: ['apps/worker/src/main.ts'],
}
const PROBE_POLL_MS = 100

export type Container = {
  name: string
  spec: Manifest
  child: Child
  env: Record<string, string>
  portOf: (name: string) => number
}

/**
 * Runs rendered pods as processes of this machine: their arguments, environment, ConfigMaps and Secrets are taken from
 * the objects, volumes are folders below `dir`, ports are free ones, and what is said to a Service reaches the
 * container port of the pods that it selects. So what is wrong in the chart is wrong here.
 */
export function createMachine({
  objects,
  dir,
  children,
}: {
  objects: Manifest[]
  dir: string
  children: Children
}) {
  const ports = new Map<string, Promise<number>>()
  const portAt = (component: string, containerPort: number) => {
    const key = `${component} ${containerPort}`
    if (!ports.has(key)) ports.set(key, freePort())
    return ports.get(key)!
  }

  /** Address that a Service leads to, as a cluster's network would find it. */
  async function addressOf(service: string, port: number): Promise<number> {
    const { spec } = find(objects, 'Service', service)
    const { targetPort } = spec.ports.find((entry: Manifest) => entry.port === port)
    const [pod] = pods(objects).filter(({ labels }) =>
      Object.entries(spec.selector).every(([name, value]) => labels[name] === value),
    )
    const named = pod!.spec.containers[0].ports.find(({ name }: Manifest) => name === targetPort)
    return portAt(pod!.component, named.containerPort)
  }

  /** Replaces `http://SERVICE:PORT` by where that Service leads to on this machine. */
  async function localize(value: string): Promise<string> {
    let text = value
    for (const { metadata, spec } of ofKind(objects, 'Service'))
      for (const { port } of spec.ports)
        text = text.replaceAll(
          new RegExp(`(//|@)${metadata.name}:${port}\\b`, 'g'),
          `$1127.0.0.1:${await addressOf(metadata.name, port)}`,
        )
    return text
  }

  /** Runs a container of a pod until it ends or `children` are stopped. */
  async function start(pod: Pod, container: Manifest): Promise<Container> {
    const { component } = pod
    const numbers = new Map<string, number>()
    for (const { name, containerPort } of container.ports ?? [])
      numbers.set(name, await portAt(component, containerPort))
    const mounts = await mountVolumes(pod, container)
    const env = await environmentOf(container)
    const args = (container.args ?? COMMANDS[container.name]).map((argument: string) => expand(argument, env))
    // The port a container listens on is written in its environment or its configuration, as a number.
    for (const { containerPort } of container.ports ?? []) {
      for (const [name, value] of Object.entries(env))
        if (value === String(containerPort)) env[name] = String(await portAt(component, containerPort))
    }
    const [program, ...rest] = await command(container, args, mounts, component)
    const child = children.start({
      name: component,
      program: program!,
      args: rest,
      cwd: ROOT,
      env: { PATH: process.env.PATH, ...localPaths(env, mounts) },
      graceMs: pod.spec.terminationGracePeriodSeconds * 1000,
    })
    return { name: container.name, spec: container, child, env, portOf: (name) => numbers.get(name)! }
  }

  async function environmentOf(container: Manifest): Promise<Record<string, string>> {
    const env: Record<string, string> = {}
    for (const { name, value, valueFrom } of container.env ?? []) {
      const given = valueFrom ? referenced(valueFrom, container) : expand(value, env)
      env[name] = await localize(given)
    }
    return env
  }

  function referenced({ secretKeyRef, resourceFieldRef }: Manifest, { resources }: Manifest): string {
    if (secretKeyRef) return secretValue(secretKeyRef)
    const [group, resource] = resourceFieldRef.resource.split('.')
    const size = String(resources[group][resource])
    return String(Number.parseInt(size, 10) * (size.endsWith('Gi') ? 2 ** 30 : 2 ** 20))
  }

  function secretValue({ name, key }: { name: string; key: string }): string {
    return Buffer.from(find(objects, 'Secret', name).data[key], 'base64').toString()
  }

  /** Makes the folders of a container's mounts, with what a ConfigMap puts into them, its paths as they are here. */
  async function mountVolumes(pod: Pod, container: Manifest): Promise<[string, string][]> {
    const mounts: [string, string][] = (container.volumeMounts ?? []).map(({ name, mountPath }: Manifest) => [
      mountPath,
      join(dir, pod.owner.replace('/', '-'), name),
    ])
    for (const [index, { name }] of (container.volumeMounts ?? []).entries()) {
      const folder = mounts[index]![1]
      await mkdir(folder, { recursive: true })
      const { configMap } = pod.spec.volumes.find((volume: Manifest) => volume.name === name)
      if (configMap) {
        const { data } = find(objects, 'ConfigMap', configMap.name)
        for (const [file, text] of Object.entries(data)) {
          const local = String(text).replaceAll(/(?<= )\/\S+$/gm, (path) => inFolder(path, mounts))
          await writeFile(join(folder, file), local)
        }
      }
    }
    return mounts
  }

  /** The program that the image's entry point would run. */
  async function command(container: Manifest, args: string[], mounts: [string, string][], component: string) {
    if (container.name !== 'redis') return [process.execPath, ...args]
    const local = args.map((argument) => inFolder(argument, mounts))
    const port = await portAt(component, 6379)
    // The file is the chart's; only where it listens is this machine's.
    return [await findRedis(console.error), ...local, '--port', String(port), '--bind', '127.0.0.1']
  }

  return { start, addressOf, localize }
}

const inFolder = (path: string, mounts: [string, string][]): string => {
  const found = mounts.find(([mountPath]) => path === mountPath || path.startsWith(`${mountPath}/`))
  return found ? path.replace(found[0], found[1]) : path
}

const localPaths = (env: Record<string, string>, mounts: [string, string][]) =>
  Object.fromEntries(Object.entries(env).map(([name, value]) => [name, inFolder(value, mounts)]))

/** `$(NAME)` as Kubernetes replaces it: by what was named before, else not at all. */
function expand(text: string, env: Record<string, string>): string {
  return text.replaceAll(/\$\((\w+)\)/g, (whole, name) => env[name] ?? whole)
}

/** Runs a rendered probe once. */
export async function passes(probe: Manifest, container: Container): Promise<boolean> {
  if (probe.httpGet) return (await statusOf(container.portOf(probe.httpGet.port), probe.httpGet.path)) < 400
  if (probe.tcpSocket) return opens(container.portOf(probe.tcpSocket.port))
  throw new Error(`cannot run the probe ${JSON.stringify(probe)}`)
}

/** Waits until a probe passes, for as long as Kubernetes would before it gives the container up. */
export async function awaitProbe(probe: Manifest, container: Container): Promise<void> {
  const deadline = Date.now() + (probe.periodSeconds ?? 10) * (probe.failureThreshold ?? 3) * 1000
  while (!(await passes(probe, container))) {
    const lines = container.child.lastLines().join('\n')
    if (container.child.hasEnded())
      throw new Error(`${container.name} ended with ${await container.child.ended}:\n${lines}`)
    if (Date.now() > deadline)
      throw new Error(`${container.name} did not pass ${JSON.stringify(probe)}:\n${lines}`)
    await sleep(PROBE_POLL_MS)
  }
}

function statusOf(port: number, path: string): Promise<number> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path, timeout: 5000 }, (answer) => {
      answer.resume()
      resolve(answer.statusCode ?? 599)
    })
    asked.on('timeout', () => asked.destroy()).on('error', () => resolve(599))
    asked.end()
  })
}

function opens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
