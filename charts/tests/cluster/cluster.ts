import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Manifest } from '../render.ts'

const run = promisify(execFile)
const MAX_OUTPUT = 1 << 26

/** Programs that install: those that HELMS names, with commas between them, or the one on PATH. */
export const helms = (process.env.HELMS || process.env.HELM || 'helm').split(',')

export type Cluster = {
  namespace: string
  helm(...args: string[]): Promise<string>
  kubectl(...args: string[]): Promise<string>
  /** Objects of a kind in the namespace, such as `pods`. */
  list(kind: string): Promise<Manifest[]>
  get(kind: string, name: string): Promise<Manifest>
  /** Version of the API server, such as `v1.34.4`. */
  version(): Promise<string>
  /** Has the API server judge objects without keeping them; gives its warnings. @throws where it refuses one */
  judge(objects: string): Promise<string>
  remove(): Promise<void>
}

/** Makes a namespace of our own, which enforces Pod Security `restricted`, in the cluster that KUBECONFIG names. */
export async function openNamespace(helmProgram: string): Promise<Cluster> {
  const namespace = `pictures-${randomBytes(4).toString('hex')}`
  const call = async (program: string, args: string[]) => {
    const { stdout } = await run(program, [...args, '--namespace', namespace], { maxBuffer: MAX_OUTPUT })
    return stdout
  }
  const kubectl = (...args: string[]) => call('kubectl', args)
  // Enforced on pods; warned of on what makes pods.
  const levels = ['enforce', 'warn'].map((mode) => `pod-security.kubernetes.io/${mode}=restricted`)
  await run('kubectl', ['create', 'namespace', namespace])
  await run('kubectl', ['label', 'namespace', namespace, ...levels])
  return {
    namespace,
    helm: (...args) => call(helmProgram, args),
    kubectl,
    list: async (kind) => JSON.parse(await kubectl('get', kind, '--output=json')).items,
    get: async (kind, name) => JSON.parse(await kubectl('get', kind, name, '--output=json')),
    version: async () => {
      const { stdout } = await run('kubectl', ['version', '--output=json'])
      return JSON.parse(stdout).serverVersion.gitVersion
    },
    judge: async (objects) => {
      const dir = await mkdtemp(join(tmpdir(), 'sdcpu-judge-'))
      try {
        await writeFile(join(dir, 'objects.yaml'), objects)
        const args = ['apply', '--dry-run=server', '--filename', dir, '--namespace', namespace]
        return (await run('kubectl', args, { maxBuffer: MAX_OUTPUT })).stderr
      } finally {
        await rm(dir, { recursive: true, force: true })
      }
    },
    remove: async () => {
      await run('kubectl', ['delete', 'namespace', namespace, '--wait=false'])
    },
  }
}
